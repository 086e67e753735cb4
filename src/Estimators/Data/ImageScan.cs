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
internal sealed record ImageScan(
    IImageExamples Examples,
    PixelStatistics Statistics,
    IReadOnlyList<int> Labels,
    long MissingLabels,
    long UnreadableImages,
    long CachedBytes,
    IReadOnlyDictionary<string, string> Fingerprint)
{
    /// <summary>What the data say that the examples weigh; null where they say nothing.</summary>
    public IReadOnlyList<float>? Weights { get; init; }

    /// <summary>
    /// The same rows with parts that are cut out of the pictures at their own size; null where nothing is to be cut, or nothing is lost by
    /// cutting it out of the examples.
    /// </summary>
    public IImageExamples? Cropped { get; init; }

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
        using var prints = settings.Fingerprints ? new DataFingerprint(weighted: data.Weights is not null) : null;
        var statistics = new PixelStatistics(data.Images, byImage: settings.Splits);
        var cache = settings.CacheLimit > 0 ? new ImageCache(data.Images.ByteCount) : null;
        var crop = settings.Crop;
        var originals = cache is not null && crop is not null && data.Images.Type.Kind == ImageColumnKind.Image
            ? new OriginalPictures()
            : null;
        var isShrunken = false;
        var labels = new List<int>();
        var weights = data.Weights is null ? null : new List<float>();
        var order = new RowOrder(data, what);
        // Only the plain rows have the pictures themselves, of which crops are cut.
        using var rows = crop is null ? ParallelImageRows.Open(data, settings.Threads) : data.Open();
        while (rows.MoveNext(cancellationToken))
        {
            host.CheckAlive();
            if (settings.CacheLimit < long.MaxValue)   // else there is no later pass
                order.Add(rows.RowNumber, rows.Current);
            labels.Add(rows.Current.Label);
            weights?.Add(rows.Current.Weight);
            statistics.Add(rows.Current.Pixels.Span);
            prints?.Add(rows.Current);
            cache?.Add(rows.Current);
            if (cache?.Bytes > settings.CacheLimit)
                cache = null;
            if (crop is not null && (rows as ImageRows)?.Picture is { } picture)
            {
                isShrunken |= picture.Width > data.Images.Shape.Width || picture.Height > data.Images.Shape.Height;
                originals?.Add(picture, rows.Current);
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
            prints?.Describe(what).ToDictionary() ?? [])
        {
            Weights = weights,
            Cropped = cropped,
        };
    }

    /// <summary>The examples to train on and to validate on, where the validation data are apart.</summary>
    public ImageSplit With(ImageScan validation) => Whole(validation.Examples);

    /// <summary>
    /// Sets a random part of the examples apart for validation, of every class the same part as far as whole examples allow. At least one
    /// example of each class stays to train on.
    /// </summary>
    /// <param name="fraction">The part, 0 to below 1; above 0 at least one example.</param>
    /// <param name="random">Draws it.</param>
    /// <param name="warn">Is told of classes of which no example validates; null to tell nobody.</param>
    /// <param name="describe">What a class is called.</param>
    /// <exception cref="InvalidOperationException">No class has two examples, so that nothing can be set apart.</exception>
    public ImageSplit Split(double fraction, Random random, Action<string>? warn = null, Func<int, string>? describe = null)
    {
        if (fraction == 0)
            return Whole(validation: null);

        var members = new BitArray(Examples.Count);
        var classes = Stratified(fraction, random);
        foreach (var index in classes.SelectMany(each => each.Held))
            members[index] = true;
        if (classes.All(each => each.Held.Length == 0))
        {
            throw new InvalidOperationException(
                $"{nameof(ImageClassificationOptions.ValidationFraction)} is {fraction}, but none of the {classes.Length} classes has two "
                    + "usable rows, of which one could be set apart to validate on and the other trained on; give more rows, or validation "
                    + "data.");
        }
        if (warn is not null && describe is not null)
            WarnOfMissing(classes, warn, describe);

        var validation = Examples.Where(members);
        var rest = members.Not();
        return new(Examples.Where(rest), validation, Statistics.ToNormalization(rest), Statistics.ToRange(rest))
        {
            Labels = [.. Labels.Where((_, i) => rest[i])],
            Weights = Weights?.Where((_, i) => rest[i]).ToArray(),
            Cropped = Cropped?.Where(rest),
        };
    }

    private ImageSplit Whole(IImageExamples? validation) =>
        new(Examples, validation, Statistics.ToNormalization(), Statistics.ToRange())
        {
            Labels = Labels,
            Weights = Weights,
            Cropped = Cropped,
        };

    // What is held of each class: its share rounded down, and of the rest one each for those whose share was cut the most.
    private (int Label, int Count, int[] Held)[] Stratified(double fraction, Random random)
    {
        int[] order = [.. Enumerable.Range(0, Examples.Count)];
        random.Shuffle(order);
        var groups = order.GroupBy(index => Labels[index]).Select(group => group.ToArray()).ToArray();
        var total = Math.Max(1, (int)Math.Round(Examples.Count * fraction));
        var shares = Array.ConvertAll(groups, group => (double)group.Length * total / Examples.Count);
        var held = groups.Zip(shares, (group, share) => Math.Min((int)share, group.Length - 1)).ToArray();
        var left = total - held.Sum();
        foreach (var each in Enumerable.Range(0, groups.Length).OrderByDescending(i => shares[i] - held[i]))
        {
            if (left > 0 && held[each] < groups[each].Length - 1)
            {
                held[each]++;
                left--;
            }
        }
        return [.. groups.Zip(held, (group, count) => (Labels[group[0]], group.Length, group[..count]))];
    }

    private static void WarnOfMissing(
        (int Label, int Count, int[] Held)[] classes, Action<string> warn, Func<int, string> describe)
    {
        const int Most = 10;
        var missing = classes.Where(each => each.Held.Length == 0).OrderBy(each => each.Label).ToArray();
        if (missing.Length == 0)
            return;
        warn(
            $"no row of {missing.Length:n0} of the {classes.Length:n0} classes validates, all of theirs are trained on: "
                + string.Join(
                    ", ", missing.Take(Most).Select(each => $"{describe(each.Label)} ({each.Count:n0} row{(each.Count == 1 ? "" : "s")})"))
                + $"{(missing.Length > Most ? ", …" : "")}.");
    }

    private static void Report(IChannel channel, IImageRows rows, string what, ImageData data, int count)
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
