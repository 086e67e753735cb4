using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The texts of a row or cursor, block by block: scored together when the first score is asked for.</summary>
/// <param name="host">Receives warnings.</param>
/// <param name="scorer">The model.</param>
/// <param name="reader">Reads the texts.</param>
/// <param name="document">What is read and how many texts are scored together.</param>
internal sealed class TextClassificationRowBlock(
    IHost host, TextClassificationScorer scorer, TextPairReader reader, TextClassifierDocument document) : IRowBlock
{
    private readonly List<TextExample?> texts = [];
    private (float[] Probabilities, float[] Embedding)?[]? scores;
    private long emptyTold;
    private long cutTold;

    /// <inheritdoc/>
    public int Count => texts.Count;

    /// <inheritdoc/>
    public void Reset(int capacity)
    {
        texts.Clear();
        scores = null;
    }

    /// <inheritdoc/>
    public void Add() => texts.Add(reader.Read());

    /// <inheritdoc/>
    public IRowBlock? CreateTwin() => null;

    /// <inheritdoc/>
    public BlockColumn GetColumn(int column) => column switch
    {
        ClassificationColumns.Score => BlockColumn.Of((int place, ref VBuffer<float> value) =>
            Write(Score(place)?.Probabilities, scorer.Model.ClassCount, ref value)),
        ClassificationColumns.Embedding => BlockColumn.Of((int place, ref VBuffer<float> value) =>
            Write(Score(place)?.Embedding, scorer.Model.Encoder.Config.Width, ref value)),
        _ => BlockColumn.Of((int place, ref uint value) => value = PredictedLabel(Score(place)?.Probabilities)),
    };

    /// <inheritdoc/>
    public void Report()
    {
        var (empty, cut) = (reader.Empty - emptyTold, reader.Cut - cutTold);
        (emptyTold, cutTold) = (reader.Empty, reader.Cut);
        if (empty == 0 && cut == 0)
            return;
        using var channel = host.Start("Score");
        if (empty > 0)
        {
            channel.Warning(
                MessageSensitivity.None,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"Of the rows to score {empty:n0} have no text in column '{document.TextColumn}'"
                        + $"{(document.SecondTextColumn is { } second ? $" or '{second}'" : "")}: {UnscoredRows.NoClass}."));
        }
        if (cut > 0)
        {
            channel.Warning(
                MessageSensitivity.None,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"Of the rows to score {cut:n0} have more than the {document.MaxTokens} tokens that are read; their rest was left "
                        + $"out."));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Report();

    private (float[] Probabilities, float[] Embedding)? Score(int place) =>
        (scores ??= scorer.Score(texts, document.PredictionBatchSize))[place];

    // The key, counted from 1; 0, for missing, where there is no text or the scores are NaN.
    private static uint PredictedLabel(float[]? probabilities)
    {
        if (probabilities is null || float.IsNaN(probabilities[0]))
            return 0;
        return (uint)Array.IndexOf(probabilities, probabilities.Max()) + 1;
    }

    private static void Write(float[]? values, int length, ref VBuffer<float> destination)
    {
        var editor = VBufferEditor.Create(ref destination, length);
        if (values is null)
            editor.Values.Fill(float.NaN);
        else
            values.CopyTo(editor.Values);
        destination = editor.Commit();
    }
}
