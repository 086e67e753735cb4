using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The texts of a row or cursor, block by block.</summary>
/// <param name="host">Receives warnings.</param>
/// <param name="scorer">Encodes them.</param>
/// <param name="getter">Reads the current row's.</param>
internal sealed class TextEncodingRowBlock(IHost host, TextEncodingScorer scorer, ValueGetter<ReadOnlyMemory<char>> getter) : IRowBlock
{
    private readonly List<string> texts = [];
    private float[][]? vectors;
    private ReadOnlyMemory<char> current;
    private long cut;

    /// <inheritdoc/>
    public int Count => texts.Count;

    /// <inheritdoc/>
    public void Reset(int capacity)
    {
        texts.Clear();
        vectors = null;
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
    public BlockColumn GetColumn(int column) => BlockColumn.Of<VBuffer<float>>(GetVector);

    /// <inheritdoc/>
    public void Report()
    {
        if (cut == 0)
            return;
        using var channel = host.Start("Encode");
        channel.Warning(
            MessageSensitivity.None,
            $"{cut:n0} {(cut == 1 ? "text has" : "texts have")} more than the {scorer.Model.Config.MaxTokens} tokens that the network "
                + "reads; the rest was left out.");
        cut = 0;
    }

    /// <inheritdoc/>
    public void Dispose() => Report();

    private void GetVector(int place, ref VBuffer<float> value)
    {
        if (vectors is null)
        {
            vectors = scorer.Encode(texts, out var more);
            cut += more;
        }
        var editor = VBufferEditor.Create(ref value, vectors[place].Length);
        vectors[place].CopyTo(editor.Values);
        value = editor.Commit();
    }
}
