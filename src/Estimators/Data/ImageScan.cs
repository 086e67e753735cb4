using System.Collections;
using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// The first pass over a data view: finds the usable rows, measures the pixels, and keeps the decoded images if they fit in memory.
/// Everything that is wrong with the data is found here, before the first training step.
/// </summary>
/// <param name="Examples">The usable rows.</param>
/// <param name="Statistics">Of their pixels.</param>
/// <param name="Labels">Their classes.</param>
/// <param name="MissingLabels">Rows left out because they have no label.</param>
/// <param name="UnreadableImages">Rows left out because their image is missing or cannot be read.</param>
/// <param name="CachedBytes">Memory that the decoded images take; 0 where they are read anew each time.</param>
/// <param name="Fingerprint">What the examples are, by name; empty where it was not asked for.</param>
/// <param name="Cropped">
/// The same rows with parts that are cut out of the pictures at their own size; null where nothing is to be cut, or nothing is lost by
/// cutting it out of the examples.
/// </param>
internal sealed record ImageScan(
    IImageExamples Examples,
    PixelStatistics Statistics,
    IReadOnlyList<int> Labels,
    long MissingLabels,
    long UnreadableImages,
    long CachedBytes,
    IReadOnlyDictionary<string, string> Fingerprint,
    IImageExamples? Cropped)
{
    /// <summary>Whether the images that are trained on are in memory.</summary>
    public bool Cached => Cropped is null ? CachedBytes > 0 : Cropped is CroppedImages;

    /// <summary>Runs the pass.</summary>
    /// <param name="host">Tells whether the context's operations have been cancelled.</param>
    /// <param name="channel">Receives warnings about rows left out, in this pass and in later ones.</param>
    /// <param name="data">What to read.</param>
    /// <param name="what">What the data are for, in messages: "training", "validation" or "unlabelled".</param>
    /// <param name="settings">What is kept and found out.</param>
    /// <param name="cancellationToken">Stops the pass.</param>
    /// <exception cref="InvalidOperationException">There is no usable row.</exception>
    public static ImageScan Run(
        IHost host, IChannel channel, ImageData data, string what, ImageScanSettings settings, CancellationToken cancellationToken)
    {
        using var prints = settings.Fingerprints ? new DataFingerprint() : null;
        var statistics = new PixelStatistics(data.Images, byImage: settings.Splits);
        var cache = settings.CacheLimit > 0 ? new ImageCache(data.Images.ByteCount) : null;
        var crop = settings.Crop;
        var originals = cache is not null && crop is not null && data.Images.Type.Kind == ImageColumnKind.Image
            ? new OriginalPictures()
            : null;
        var isShrunken = false;
        var labels = new List<int>();
        var order = new RowOrder(data, what);
        using var rows = data.Open();
        while (rows.MoveNext(cancellationToken))
        {
            host.CheckAlive();
            if (settings.CacheLimit < long.MaxValue)   // else there is no later pass
                order.Add(rows.RowNumber, rows.Current);
            labels.Add(rows.Current.Label);
            statistics.Add(rows.Current.Pixels.Span);
            prints?.Add(rows.Current);
            cache?.Add(rows.Current);
            if (cache?.Bytes > settings.CacheLimit)
                cache = null;
            if (crop is not null && rows.Picture is { } picture)
            {
                isShrunken |= picture.Width > data.Images.Shape.Width || picture.Height > data.Images.Shape.Height;
                originals?.Add(picture, rows.Current.Label, rows.RowNumber);
                if ((cache?.Bytes ?? 0) + originals?.Bytes > settings.CacheLimit)
                    originals = null;
            }
        }

        Report(channel, rows, what, data, labels.Count);
        IImageExamples examples = cache is not null ? new CachedImages(cache) : new StreamedImages(data, order, settings.PoolSize, channel);
        IImageExamples? cropped = !isShrunken ? null
            : originals is not null ? new CroppedImages(data.Images, originals, crop!)
            : new StreamedImages(data, order, settings.PoolSize, channel, crop);
        return new(
            examples,
            statistics,
            labels,
            rows.MissingLabels,
            rows.Unreadable.Count,
            (cache?.Bytes ?? 0) + (cropped is CroppedImages ? originals!.Bytes : 0),
            prints?.Describe(what).ToDictionary() ?? [],
            cropped);
    }

    /// <summary>The examples to train on and to validate on, where the validation data are apart.</summary>
    public ImageSplit With(ImageScan validation) => new(
        Examples, validation.Examples, Statistics.ToNormalization(), Statistics.ToRange(), Cropped);

    /// <summary>Sets a random part of the examples apart for validation.</summary>
    /// <param name="fraction">The part, 0 to below 1; above 0 at least one example.</param>
    /// <param name="random">Draws it.</param>
    /// <exception cref="InvalidOperationException">It leaves fewer than two classes to train on.</exception>
    public ImageSplit Split(double fraction, Random random)
    {
        if (fraction == 0)
            return new(Examples, null, Statistics.ToNormalization(), Statistics.ToRange(), Cropped);

        var held = Math.Max(1, (int)Math.Round(Examples.Count * fraction));
        int[] order = [.. Enumerable.Range(0, Examples.Count)];
        random.Shuffle(order);
        var classesLeft = order.Skip(held).Select(index => Labels[index]).Distinct().Count();
        if (classesLeft < 2)
        {
            throw new InvalidOperationException(
                $"{nameof(ImageClassificationOptions.ValidationFraction)} is {fraction}, which leaves {Examples.Count - held:n0} of "
                    + $"{Examples.Count:n0} usable rows to train on, with {classesLeft} different labels; "
                + "a classifier needs examples of at least 2.");
        }

        var members = new BitArray(Examples.Count);
        foreach (var index in order.AsSpan(0, held))
            members[index] = true;
        var validation = Examples.Where(members);
        var rest = members.Not();
        return new(Examples.Where(rest), validation, Statistics.ToNormalization(rest), Statistics.ToRange(rest), Cropped?.Where(rest));
    }

    private static void Report(IChannel channel, ImageRows rows, string what, ImageData data, int count)
    {
        var reasons = new List<string>();
        if (rows.MissingLabels > 0)
            reasons.Add($"{rows.MissingLabels:n0} have no label in column '{data.Labels!.Name}'");
        if (rows.Unreadable.Count > 0)
            reasons.Add(rows.Unreadable.ToString());

        if (count == 0)
        {
            throw new InvalidOperationException(reasons.Count == 0
                ? $"The {what} data have no rows."
                : $"The {what} data have no usable rows: {string.Join(", ", reasons)}.");
        }
        if (reasons.Count > 0)
            channel.Warning(MessageSensitivity.None, $"Of the {what} data {count:n0} rows are used; {string.Join(", ", reasons)}.");
    }
}
