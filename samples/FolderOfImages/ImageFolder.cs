namespace FolderOfImages;

/// <summary>
/// The pictures of a folder by class: <c>DIR/train/CLASS/*</c> and <c>DIR/test/CLASS/*</c>, or <c>DIR/CLASS/*</c>, of which a part is set
/// apart for the test. Only names are read here.
/// </summary>
/// <param name="Train">Pictures to train on, sorted by path.</param>
/// <param name="Test">Pictures to evaluate on, sorted by path.</param>
/// <param name="Classes">The classes, sorted.</param>
/// <param name="OtherFiles">Files in the folders of the classes whose names are not those of pictures: they are left out.</param>
public sealed record ImageFolder(
    IReadOnlyList<ImageFile> Train, IReadOnlyList<ImageFile> Test, IReadOnlyList<string> Classes, int OtherFiles)
{
    private const double TestFraction = 0.2;
    private const string Wanted = "wanted are 'train/CLASS/*' and 'test/CLASS/*', or 'CLASS/*', with at least two classes";

    private static readonly HashSet<string> Extensions = new(
        [".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"], StringComparer.OrdinalIgnoreCase);

    /// <summary>Finds the pictures.</summary>
    /// <param name="directory">The folder.</param>
    /// <param name="seed">Which pictures are set apart for the test, where the folder does not say.</param>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="InvalidDataException">There are fewer than two classes, a class has too few pictures, or a class of the test is
    /// none of the training.</exception>
    public static ImageFolder Read(string directory, int seed)
    {
        if (!Directory.Exists(directory))
            throw new DirectoryNotFoundException($"There is no folder '{directory}'.");

        var (train, test) = (Path.Combine(directory, "train"), Path.Combine(directory, "test"));
        return Directory.Exists(train) && Directory.Exists(test) ? ReadBoth(train, test) : ReadAndSplit(directory, new Random(seed));
    }

    private static ImageFolder ReadBoth(string trainDirectory, string testDirectory)
    {
        var (train, otherTrain) = ReadClasses(trainDirectory);
        var (test, otherTest) = ReadClasses(testDirectory);
        RequireTwoClasses(trainDirectory, train);
        if (test.Count == 0)
            throw new InvalidDataException($"'{testDirectory}' has no folder with pictures; {Wanted}.");
        if (test.Keys.Except(train.Keys).FirstOrDefault() is { } unknown)
            throw new InvalidDataException($"'{testDirectory}' has the class '{unknown}', which '{trainDirectory}' has not.");

        return new ImageFolder(Rows(train), Rows(test), [.. train.Keys], otherTrain + otherTest);
    }

    // A part of every class, so that none is missing on either side.
    private static ImageFolder ReadAndSplit(string directory, Random random)
    {
        var (all, others) = ReadClasses(directory);
        RequireTwoClasses(directory, all);
        var (train, test) = (NewClasses(), NewClasses());
        foreach (var (name, files) in all)
        {
            if (files.Length < 2)
                throw new InvalidDataException(
                    $"The class '{name}' in '{directory}' has one picture; at least two are wanted, one of them for the test.");

            var shuffled = files.ToArray();
            random.Shuffle(shuffled);
            var held = Math.Max(1, (int)(TestFraction * files.Length));
            test[name] = [.. shuffled[..held].Order(StringComparer.Ordinal)];
            train[name] = [.. shuffled[held..].Order(StringComparer.Ordinal)];
        }

        return new ImageFolder(Rows(train), Rows(test), [.. train.Keys], others);
    }

    private static (SortedDictionary<string, string[]> Classes, int OtherFiles) ReadClasses(string directory)
    {
        var classes = NewClasses();
        var others = 0;
        foreach (var folder in Directory.EnumerateDirectories(directory))
        {
            var files = Directory.GetFiles(folder);
            var pictures = files.Where(file => Extensions.Contains(Path.GetExtension(file))).Order(StringComparer.Ordinal).ToArray();
            others += files.Length - pictures.Length;
            if (pictures.Length > 0)
                classes.Add(Path.GetFileName(folder), pictures);
        }

        return (classes, others);
    }

    private static void RequireTwoClasses(string directory, SortedDictionary<string, string[]> classes)
    {
        if (classes.Count == 0)
            throw new InvalidDataException($"'{directory}' has no folder with pictures ({string.Join(", ", Extensions)}); {Wanted}.");
        if (classes.Count == 1)
            throw new InvalidDataException($"'{directory}' has pictures of one class only, '{classes.Keys.First()}'; {Wanted}.");
    }

    private static SortedDictionary<string, string[]> NewClasses() => new(StringComparer.Ordinal);

    private static ImageFile[] Rows(SortedDictionary<string, string[]> classes) =>
        [.. classes.SelectMany(entry => entry.Value, (entry, file) => new ImageFile { Path = file, Label = entry.Key })];
}
