// A block of images that are scored together.
//
// Axes: N = images, C = channels, H = height, W = width.

using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Collects images, and scores them all in one forward pass when the first score is asked for. An image that is missing scores NaN and has
/// no predicted label.
/// </summary>
/// <param name="scorer">The model.</param>
/// <param name="column">The column of the images.</param>
/// <param name="withEmbeddings">Whether embeddings will be asked for.</param>
internal sealed class ScoreBlock(ImageScorer scorer, ImageColumn column, bool withEmbeddings) : IDisposable
{
    private ImageBuffer? images;
    private bool[] present = [];
    private ImageScores? scores;

    /// <summary>Images in the block.</summary>
    public int Count { get; private set; }

    /// <summary>Whether images must be decoded or resized, which takes a time worth speaking of.</summary>
    public bool HasPictures => column.Type.Kind == ImageColumnKind.Image;

    /// <summary>The model.</summary>
    public ImageScorer Scorer => scorer;

    /// <summary>An empty block of the same kind.</summary>
    public ScoreBlock CreateEmpty() => new(scorer, column, withEmbeddings);

    /// <summary>Empties the block and makes room for <paramref name="capacity"/> images.</summary>
    public void Reset(int capacity)
    {
        Count = 0;
        scores = null;
        if (capacity <= present.Length)
            return;

        images?.Dispose();
        images = new ImageBuffer(column, capacity);
        present = new bool[capacity];
    }

    /// <summary>Takes in the image of the reader's current row.</summary>
    public void Add(ImageReader reader)
    {
        var place = images![Count];
        present[Count] = reader.TryRead(place);
        if (present[Count])
            scorer.Watch.Add(place, column);
        else
            place.Clear();
        GC.KeepAlive(images);
        Count++;
    }

    /// <summary>Writes the class probabilities of an image.</summary>
    public void GetScore(int index, ref VBuffer<float> destination) =>
        Write(present[index] ? Probabilities(index) : default, scorer.ClassCount, ref destination);

    /// <summary>Writes the embedding of an image.</summary>
    public void GetEmbedding(int index, ref VBuffer<float> destination)
    {
        var width = scorer.FeatureWidth;
        Write(present[index] ? Scores().Embeddings.AsSpan(index * width, width) : default, width, ref destination);
    }

    /// <summary>
    /// The key of the most probable class, counted from 1; 0, for missing, where there is none: the image is missing or the scores are NaN.
    /// </summary>
    public uint GetPredictedLabel(int index)
    {
        if (!present[index])
            return 0;
        var probabilities = Probabilities(index);
        var best = 0;
        for (var i = 1; i < probabilities.Length; i++)
        {
            if (probabilities[i] > probabilities[best])
                best = i;
        }
        return float.IsNaN(probabilities[best]) ? 0 : (uint)best + 1;   // softmax makes all of them NaN, or none
    }

    /// <inheritdoc/>
    public void Dispose() => images?.Dispose();

    private ReadOnlySpan<float> Probabilities(int index) => Scores().Probabilities.AsSpan(index * scorer.ClassCount, scorer.ClassCount);

    private ImageScores Scores()
    {
        if (scores is null)
            scores = scorer.Score(images!, Count, withEmbeddings);
        return scores;
    }

    private static void Write(ReadOnlySpan<float> values, int length, ref VBuffer<float> destination)
    {
        var editor = VBufferEditor.Create(ref destination, length);
        if (values.IsEmpty)
            editor.Values.Fill(float.NaN);
        else
            values.CopyTo(editor.Values);
        destination = editor.Commit();
    }
}
