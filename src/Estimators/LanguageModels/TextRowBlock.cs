using Microsoft.ML.Data;
using Microsoft.ML.MoE.Objectives;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// The texts of a row or cursor, block by block: scored together when the first score is asked for, continued one by one when a
/// continuation is. What is computed is what the active columns need: for the number of tokens the tokenizer alone.
/// </summary>
internal sealed class TextRowBlock(
    LanguageModelScorer scorer,
    LanguageModelColumns columns,
    GenerationOptions continuation,
    ValueGetter<ReadOnlyMemory<char>> getter,
    Func<int, bool> isActive
) : IRowBlock
{
    private readonly IReadOnlyList<(LanguageModelColumn Column, string Name)> added = columns.Added;
    private readonly bool withLikelihoods = IsAnyActive(
        columns, isActive, LanguageModelColumn.LogLikelihood, LanguageModelColumn.Perplexity);

    private readonly bool withEmbeddings = IsAnyActive(columns, isActive, LanguageModelColumn.Embedding);
    private readonly List<string> texts = [];
    private int[][]? documents;
    private DocumentScore[]? scores;
    private string?[] continuations = [];
    private ReadOnlyMemory<char> current;

    /// <inheritdoc/>
    public int Count => texts.Count;

    /// <inheritdoc/>
    public void Reset(int capacity)
    {
        texts.Clear();
        (documents, scores) = (null, null);
        continuations = new string?[capacity];
    }

    /// <inheritdoc/>
    public void Add()
    {
        getter(ref current);
        texts.Add(current.ToString());
    }

    /// <inheritdoc/>
    public IRowBlock? CreateTwin() => null;

    /// <inheritdoc/>
    public BlockColumn GetColumn(int column) => added[column].Column switch
    {
        LanguageModelColumn.LogLikelihood => BlockColumn.Of((int place, ref float value) => value = (float)Score(place).LogLikelihood),
        LanguageModelColumn.TokenCount => BlockColumn.Of((int place, ref int value) => value = Documents()[place].Length),
        LanguageModelColumn.Perplexity => BlockColumn.Of((int place, ref float value) => value = (float)Score(place).Perplexity),
        LanguageModelColumn.Embedding => BlockColumn.Of<VBuffer<float>>(GetEmbedding),
        _ => BlockColumn.Of((int place, ref ReadOnlyMemory<char> value) => value = Continue(place).AsMemory()),
    };

    /// <inheritdoc/>
    public void Report()
    {
    }

    /// <inheritdoc/>
    public void Dispose()
    {
    }

    // Only what the active columns need: of tokens alone, no network.
    private DocumentScore Score(int place) => (scores ??= scorer.Score(Documents(), withLikelihoods, withEmbeddings))[place];

    private int[][] Documents() => documents ??= [.. texts.Select(scorer.Tokenizer.Encode)];

    private static bool IsAnyActive(LanguageModelColumns columns, Func<int, bool> isActive, params LanguageModelColumn[] wanted) =>
        Enumerable.Range(0, columns.Added.Count).Any(column => wanted.Contains(columns.Added[column].Column) && isActive(column));

    private string Continue(int place) => continuations[place] ??= scorer.Continue(texts[place], continuation, continuation.Seed ?? 0);

    private void GetEmbedding(int place, ref VBuffer<float> value)
    {
        var embedding = Score(place).Embedding!;
        var editor = VBufferEditor.Create(ref value, embedding.Length);
        embedding.CopyTo(editor.Values);
        value = editor.Commit();
    }
}
