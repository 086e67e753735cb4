using Microsoft.ML.Data;
using Microsoft.ML.MoE.Objectives;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// The texts of a row or cursor, block by block: scored together when the first score is asked for, continued one by one when a
/// continuation is.
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
    private readonly bool withEmbeddings = Enumerable
        .Range(0, columns.Added.Count)
        .Any(column => columns.Added[column].Column == LanguageModelColumn.Embedding && isActive(column));
    private readonly List<string> texts = [];
    private DocumentScore[]? scores;
    private string?[] continuations = [];
    private ReadOnlyMemory<char> current;

    /// <inheritdoc/>
    public int Count => texts.Count;

    /// <inheritdoc/>
    public void Reset(int capacity)
    {
        texts.Clear();
        scores = null;
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
        LanguageModelColumn.TokenCount => BlockColumn.Of((int place, ref int value) => value = Score(place).TokenCount),
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

    private DocumentScore Score(int place) => (scores ??= scorer.Score(texts, withEmbeddings))[place];

    private string Continue(int place) => continuations[place] ??= scorer.Continue(texts[place], continuation, continuation.Seed ?? 0);

    private void GetEmbedding(int place, ref VBuffer<float> value)
    {
        var embedding = Score(place).Embedding!;
        var editor = VBufferEditor.Create(ref value, embedding.Length);
        embedding.CopyTo(editor.Values);
        value = editor.Commit();
    }
}
