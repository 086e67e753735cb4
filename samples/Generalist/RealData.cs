using Microsoft.ML;
using Microsoft.ML.MoE.Models;

namespace GeneralistSample;

/// <summary>
/// Tasks on data that users bring: pictures by class as <c>DIR/pictures/{train,test}/CLASS/*</c>, such as CIFAR-10; sentences with an
/// opinion as <c>DIR/sentences/{train,dev}.tsv</c>, such as SST-2, a header line, then sentence and 0 or 1; photos with captions as
/// <c>DIR/photos/captions.tsv</c>, a file and a caption a line, and <c>DIR/photos/images</c>, such as Flickr8k.
/// </summary>
internal static class RealData
{
    private const int Seed = 1;
    private const int TestPictures = 2000;
    private const int TestSentences = 1000;
    private const int TestPhotosEvery = 10;   // a tenth measures, with all its captions

    private static readonly string[] Opinions = ["negative", "positive"];

    /// <summary>Reads them.</summary>
    /// <exception cref="IOException">A file is missing.</exception>
    /// <exception cref="InvalidDataException">A file holds something else.</exception>
    public static SampleData Read(MLContext ml, string folder)
    {
        var (pictures, photos) = (Path.Combine(folder, "pictures"), Path.Combine(folder, "photos"));
        var (train, test) = (Pictures(Path.Combine(pictures, "train")), Pictures(Path.Combine(pictures, "test")));
        string[] classes = [.. train.Select(row => row.Label).Distinct().Order(StringComparer.Ordinal)];
        var (said, held) = (
            Sentences(Path.Combine(folder, "sentences", "train.tsv")), Sentences(Path.Combine(folder, "sentences", "dev.tsv")));
        var captions = Captions(photos);
        var others = captions.Where(row => row.Photo % TestPhotosEvery == 0).Select(row => row.Row).ToArray();
        var described = captions.Where(row => row.Photo % TestPhotosEvery != 0).Select(row => row.Row).ToArray();

        return new(
            [
                new() { Name = "pictures", Kind = GeneralistTaskKind.ImageClassification, ClassNames = classes },
                new() { Name = "opinions", Kind = GeneralistTaskKind.TextClassification, ClassNames = Opinions },
                new() { Name = "masked words", Kind = GeneralistTaskKind.MaskedLanguageModel },
                new() { Name = "photo captions", Kind = GeneralistTaskKind.ImageCaption },
                new() { Name = "photo retrieval", Kind = GeneralistTaskKind.ImageTextRetrieval },
            ],
            new Dictionary<string, IDataView>
            {
                ["pictures"] = Load(train),
                ["opinions"] = ml.Data.LoadFromEnumerable(said),
                ["masked words"] = ml.Data.LoadFromEnumerable(said),
                ["photo captions"] = Load(described),
                ["photo retrieval"] = Load(described),
            },
            new Dictionary<string, IDataView>
            {
                ["pictures"] = Load([.. test.Take(TestPictures)]),
                ["opinions"] = ml.Data.LoadFromEnumerable(held.Take(TestSentences)),
                ["masked words"] = ml.Data.LoadFromEnumerable(held.Take(TestSentences)),
                ["photo captions"] = Load(others),
                ["photo retrieval"] = Load(others),
            });

        IDataView Load(FileRow[] rows)
        {
            var data = ml.Data.LoadFromEnumerable(rows);
            return ml.Transforms.LoadPictures("Image", imageFolder: "", nameof(FileRow.Path)).Fit(data).Transform(data);
        }
    }

    private static FileRow[] Pictures(string folder)
    {
        if (!Directory.Exists(folder))
            throw new DirectoryNotFoundException(
                $"There is no folder '{folder}'; pictures are wanted as "
                    + $"{folder}{Path.DirectorySeparatorChar}CLASS{Path.DirectorySeparatorChar}*.");
        var rows = Directory
            .EnumerateDirectories(folder)
            .Order(StringComparer.Ordinal)
            .SelectMany(ofClass =>
                Directory
                    .EnumerateFiles(ofClass)
                    .Order(StringComparer.Ordinal)
                    .Select(file => new FileRow { Path = file, Label = Path.GetFileName(ofClass) }))
            .ToArray();
        new Random(Seed).Shuffle(rows);   // sorted by class
        return rows;
    }

    private static TextRow[] Sentences(string file) =>
        [.. File.ReadLines(file).Skip(1).Select((line, number) => line.Split('\t') is [var sentence, "0" or "1"] parts
            ? new TextRow { Text = sentence.Trim(), Label = Opinions[parts[1][0] - '0'] }
            : throw new InvalidDataException($"Line {number + 2} of '{file}' is '{line}'; a sentence, a tab, and 0 or 1 are wanted."))];

    private static (int Photo, FileRow Row)[] Captions(string folder)
    {
        var file = Path.Combine(folder, "captions.tsv");
        var photos = new Dictionary<string, int>();
        return [.. File.ReadLines(file).Select((line, number) =>
        {
            if (line.Split('\t') is not [var photo, var caption])
                throw new InvalidDataException($"Line {number + 1} of '{file}' is '{line}'; a file name, a tab, and a caption are wanted.");
            photos.TryAdd(photo, photos.Count);
            return (photos[photo], new FileRow { Path = Path.Combine(folder, "images", photo), Text = caption.Trim() });
        })];
    }
}
