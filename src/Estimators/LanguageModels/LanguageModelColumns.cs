using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The columns that a language model reads and adds. A name that is null leaves the column out.</summary>
internal sealed record LanguageModelColumns
{
    /// <summary>The column with the texts.</summary>
    public required string Text { get; init; }

    /// <summary>Receives the log-likelihood, a Single.</summary>
    public string? LogLikelihood { get; init; }

    /// <summary>Receives the number of tokens, an Int32.</summary>
    public string? TokenCount { get; init; }

    /// <summary>Receives the perplexity, a Single.</summary>
    public string? Perplexity { get; init; }

    /// <summary>Receives the mean of the last layer, a vector of Single.</summary>
    public string? Embedding { get; init; }

    /// <summary>Receives a continuation, a text.</summary>
    public string? Continuation { get; init; }

    /// <summary>What is added, in the order of the columns.</summary>
    public IReadOnlyList<(LanguageModelColumn Column, string Name)> Added =>
        [
            .. new[]
            {
                (LanguageModelColumn.LogLikelihood, LogLikelihood),
                (LanguageModelColumn.TokenCount, TokenCount),
                (LanguageModelColumn.Perplexity, Perplexity),
                (LanguageModelColumn.Embedding, Embedding),
                (LanguageModelColumn.Continuation, Continuation),
            }
                .Where(column => column.Item2 is not null)
                .Select(column => (column.Item1, column.Item2!)),
        ];

    /// <summary>Checks the names.</summary>
    /// <exception cref="ArgumentException">A name is empty, or two are the same, or nothing is added.</exception>
    public void Validate()
    {
        var names = Added.Select(column => (Option: $"{column.Column}ColumnName", column.Name)).Prepend(("TextColumnName", Text)).ToArray();
        foreach (var (option, name) in names)
        {
            if (string.IsNullOrWhiteSpace(name))
                throw new ArgumentException(
                    $"{option} is empty; it must name a column{(option == "TextColumnName" ? "" : ", or be null to leave it out")}.");
        }
        if (Added.Count == 0)
            throw new ArgumentException("No column is added: the names of all of them are null.");
        if (Added.GroupBy(column => column.Name).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new ArgumentException(
                $"{string.Join(" and ", twice.Select(column => $"{column.Column}ColumnName"))} are both '{twice.Key}'; they must differ.");
    }

    /// <summary>The columns to add.</summary>
    /// <param name="width">Width of the model.</param>
    public DataViewSchema.DetachedColumn[] ToColumns(int width) =>
        [
            .. Added.Select(column => new DataViewSchema.DetachedColumn(
                column.Name,
                column.Column switch
                {
                    LanguageModelColumn.TokenCount => NumberDataViewType.Int32,
                    LanguageModelColumn.Embedding => new VectorDataViewType(NumberDataViewType.Single, width),
                    LanguageModelColumn.Continuation => TextDataViewType.Instance,
                    _ => NumberDataViewType.Single,
                }
            )),
        ];

    /// <summary>What an estimator promises before it has seen data.</summary>
    public IEnumerable<SchemaShape.Column> ToShapes() => Added.Select(column => new SchemaShape.Column(
        column.Name,
        column.Column == LanguageModelColumn.Embedding ? SchemaShape.Column.VectorKind.Vector : SchemaShape.Column.VectorKind.Scalar,
        column.Column switch
        {
            LanguageModelColumn.TokenCount => NumberDataViewType.Int32,
            LanguageModelColumn.Continuation => TextDataViewType.Instance,
            _ => NumberDataViewType.Single,
        },
        isKey: false));

    /// <summary>Finds the texts in a schema.</summary>
    /// <exception cref="ArgumentException">There is no such column, or it holds something else.</exception>
    public DataViewSchema.Column FindText(IExceptionContext context, DataViewSchema schema)
    {
        var column = schema.GetColumnOrNull(Text) ?? throw context.ExceptSchemaMismatch(nameof(schema), "text", Text);
        return column.Type is TextDataViewType
            ? column
            : throw context.ExceptSchemaMismatch(
                nameof(schema), "text", Text, TextDataViewType.Instance.ToString(), column.Type.ToString());
    }
}
