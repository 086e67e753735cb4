using Microsoft.ML.Data;
using Microsoft.ML.MoE.Objectives;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Makes tokens of the text, or the pair of texts, in the current row.</summary>
internal sealed class TextPairReader
{
    private readonly WordPieceTokenizer tokenizer;
    private readonly int maxTokens;
    private readonly ValueGetter<ReadOnlyMemory<char>> first;
    private readonly ValueGetter<ReadOnlyMemory<char>>? second;
    private ReadOnlyMemory<char> text;

    /// <summary>Opens the columns of a row or cursor.</summary>
    /// <param name="row">A row in which the columns are active.</param>
    /// <param name="columns">The column of the texts, and that of the second ones or null.</param>
    /// <param name="tokenizer">Makes the tokens.</param>
    /// <param name="maxTokens">Tokens at most.</param>
    public TextPairReader(DataViewRow row, (string First, string? Second) columns, WordPieceTokenizer tokenizer, int maxTokens)
    {
        (this.tokenizer, this.maxTokens) = (tokenizer, maxTokens);
        first = row.GetGetter<ReadOnlyMemory<char>>(row.Schema[columns.First]);
        second = columns.Second is { } name ? row.GetGetter<ReadOnlyMemory<char>>(row.Schema[name]) : null;
    }

    /// <summary>Rows so far in which a text is missing or empty.</summary>
    public long Empty { get; private set; }

    /// <summary>Rows so far of which the end was left out.</summary>
    public long Cut { get; private set; }

    /// <summary>Reads the current row.</summary>
    /// <returns>Null where a text is missing or empty.</returns>
    public TextExample? Read()
    {
        var one = Text(first);
        var other = second is null ? null : Text(second);
        if (string.IsNullOrWhiteSpace(one) || (second is not null && string.IsNullOrWhiteSpace(other)))
        {
            Empty++;
            return null;
        }
        bool isCut;
        TextExample example;
        if (other is null)
        {
            var tokens = tokenizer.Encode(one, maxTokens, out isCut);
            example = new(tokens, tokens.Length);
        }
        else
        {
            var tokens = tokenizer.Encode(one, other, maxTokens, out var secondStart, out isCut);
            example = new(tokens, secondStart);
        }
        if (isCut)
            Cut++;
        return example;
    }

    private string Text(ValueGetter<ReadOnlyMemory<char>> getter)
    {
        getter(ref text);
        return TextTokenizer.Unicode(text.ToString());
    }
}
