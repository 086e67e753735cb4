// A block of images that are scored together.
//
// Axes: N = images, C = channels, H = height, W = width.

using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Collects images, and scores them all in one forward pass when the first score is asked for. An image that is missing scores NaN and has no predicted label.</summary>
internal sealed class ScoreBlock(ImageScorer scorer, ImageColumn column) : IDisposable
{
    private ImageBuffer? images;
    private bool[] present = [];
    private float[]? probabilities;

    /// <summary>Images in the block.</summary>
    public int Count { get; private set; }

    /// <summary>Empties the block and makes room for <paramref name="capacity"/> images.</summary>
    public void Reset(int capacity)
    {
        Count = 0;
        probabilities = null;
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
        if (!present[Count])
            place.Clear();
        GC.KeepAlive(images);
        Count++;
    }

    /// <summary>Writes the class probabilities of an image.</summary>
    public void GetScore(int index, ref VBuffer<float> destination)
    {
        var editor = VBufferEditor.Create(ref destination, scorer.ClassCount);
        if (present[index])
            Probabilities(index).CopyTo(editor.Values);
        else
            editor.Values.Fill(float.NaN);
        destination = editor.Commit();
    }

    /// <summary>The key of the most probable class, counted from 1; 0, for missing, where there is none: the image is missing or the scores are NaN.</summary>
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

    private ReadOnlySpan<float> Probabilities(int index)
    {
        if (probabilities is null)
        {
            using var filled_NCHW = images!.First(Count);
            probabilities = scorer.Score(filled_NCHW);
        }
        return probabilities.AsSpan(index * scorer.ClassCount, scorer.ClassCount);
    }
}
