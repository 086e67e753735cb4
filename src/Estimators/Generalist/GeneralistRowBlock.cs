using Microsoft.ML.Data;
using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// The rows of a cursor, block by block: scored together when the first score is asked for. A row without its picture or text scores NaN,
/// and has no predicted label and an empty text.
/// </summary>
/// <param name="scorer">The model.</param>
/// <param name="task">The task, with its class names where it has classes.</param>
/// <param name="columns">The columns that it adds.</param>
/// <param name="reader">Reads the rows.</param>
/// <param name="reads">Whether pictures and texts are read.</param>
/// <param name="unscored">Is told when nothing is read any more; null where no pictures are read, or where another block of the same cursor
/// tells.</param>
internal sealed class GeneralistRowBlock(
    GeneralistScorer scorer,
    GeneralistTask task,
    IReadOnlyList<GeneralistColumn> columns,
    GeneralistRowReader reader,
    (bool Pictures, bool Texts) reads,
    UnscoredRows? unscored
) : IRowBlock
{
    private readonly List<GeneralistExample> rows = [];
    private readonly List<string> texts = [];
    private (float[]?[] Probabilities, float[]?[] Embeddings)? classes;
    private float[]?[]? pictures;
    private float[]?[]? targets;
    private string?[]? predicted;

    /// <inheritdoc/>
    public int Count => rows.Count;

    /// <inheritdoc/>
    public void Reset(int capacity)
    {
        rows.Clear();
        texts.Clear();
        (classes, pictures, targets, predicted) = (null, null, null, null);
    }

    /// <inheritdoc/>
    public void Add()
    {
        var picture = reads.Pictures ? reader.ReadPicture(task) : null;
        var text = reads.Texts ? reader.ReadText() : "";
        var second = task.Kind == GeneralistTaskKind.TextPairClassification ? reader.ReadSecondText() : null;
        texts.Add(text);
        rows.Add(
            new GeneralistExample(
                picture,
                text.Length == 0 || second?.Length == 0 ? null
                    : second is null ? scorer.Texts.Encode(text)
                    : scorer.Texts.Encode(text, second)));
    }

    /// <inheritdoc/>
    public IRowBlock? CreateTwin() => reads.Pictures ? new GeneralistRowBlock(scorer, task, columns, reader, reads, unscored: null) : null;

    /// <inheritdoc/>
    public BlockColumn GetColumn(int column) =>
        columns[column] switch
        {
            GeneralistColumn.PredictedLabel => BlockColumn.Of(
                (int place, ref uint value) => value = PredictedLabel(Classes().Probabilities[place])),
            GeneralistColumn.Score => Vector(place => Classes().Probabilities[place], task.ClassNames!.Count),
            GeneralistColumn.Embedding => Vector(place => Classes().Embeddings[place], Width),
            GeneralistColumn.PictureEmbedding => Vector(
                place => (pictures ??= Spread(row => row.Picture is not null, present => scorer.EmbedPictures(task, present)))[place],
                Width),
            GeneralistColumn.TextEmbedding => Vector(
                place => (targets ??= Spread(row => row.Text is not null, present => scorer.EmbedTexts(task, present)))[place], Width),
            _ => BlockColumn.Of((int place, ref ReadOnlyMemory<char> value) => value = (Predicted()[place] ?? "").AsMemory()),
        };

    /// <inheritdoc/>
    public void Report() => unscored?.Report();

    /// <inheritdoc/>
    public void Dispose() => unscored?.Close();

    private int Width => scorer.Model.Config.Block.Width;

    private static BlockColumn Vector(Func<int, float[]?> find, int length) => BlockColumn.Of((int place, ref VBuffer<float> destination) =>
    {
        var editor = VBufferEditor.Create(ref destination, length);
        if (find(place) is { } values)
            values.CopyTo(editor.Values);
        else
            editor.Values.Fill(float.NaN);
        destination = editor.Commit();
    });

    private (float[]?[] Probabilities, float[]?[] Embeddings) Classes()
    {
        if (classes is null)
        {
            float[][] embeddings = [];
            var probabilities = Spread(IsPresent, present =>
            {
                (var scores, embeddings) = scorer.Classify(task, present);
                return scores;
            });
            classes = (probabilities, Spread(IsPresent, _ => embeddings));
        }
        return classes.Value;
    }

    private string?[] Predicted() => predicted ??= task.Kind switch
    {
        GeneralistTaskKind.MaskedLanguageModel => Spread(IsPresent, _ => scorer.Fill(task, [.. texts.Where(text => text.Length > 0)])),
        GeneralistTaskKind.CausalLanguageModel => Spread(IsPresent, _ => scorer.Continue(task, [.. texts.Where(text => text.Length > 0)])),
        _ => Spread(IsPresent, present => scorer.Describe(task, present)),
    };

    private bool IsPresent(GeneralistExample row) =>
        (task.Kind.InputModality() == Routing.TokenModality.Text ? (object?)row.Text : row.Picture) is not null;

    // Computes something for the rows that have what it takes; null for the others.
    private T?[] Spread<T>(Func<GeneralistExample, bool> has, Func<IReadOnlyList<GeneralistExample>, T[]> compute) where T : class
    {
        GeneralistExample[] present = [.. rows.Where(has)];
        var results = new Queue<T>(present.Length == 0 ? [] : compute(present));
        return [.. rows.Select(row => has(row) ? results.Dequeue() : null)];
    }

    private static uint PredictedLabel(float[]? probabilities)
    {
        if (probabilities is null)
            return 0;
        var best = 0;
        for (var i = 1; i < probabilities.Length; i++)
        {
            if (probabilities[i] > probabilities[best])
                best = i;
        }
        return float.IsNaN(probabilities[best]) ? 0 : (uint)best + 1;
    }
}
