using FashionMnist;
using FolderOfImages;
using Microsoft.ML;
using Samples.Comparison;

namespace SparseMlpComparison;

/// <summary>Finds the images to train and test on.</summary>
internal static class Images
{
    private const int PictureSide = 32;   // CIFAR-10's
    private const int Seed = 1;

    /// <summary>Reads Fashion-MNIST, or a folder of pictures by class.</summary>
    /// <param name="directory">A folder with the four official files of Fashion-MNIST, or with folders of pictures
    /// (<see cref="ImageFolder"/>); null for the part of Fashion-MNIST that comes with the samples.</param>
    /// <exception cref="IOException">There is no such folder, or a file cannot be read.</exception>
    /// <exception cref="InvalidDataException">The folder holds something else.</exception>
    public static ImageSet Read(string? directory)
    {
        directory ??= FashionMnistData.ShippedDirectory;
        if (!Directory.Exists(directory) || Directory.EnumerateDirectories(directory).Any())
            return ReadPictures(directory);
        return ImageSet.Create(
            directory,
            FashionMnistData.Size,
            FashionMnistData.ReadTrain(directory),
            FashionMnistData.ReadTest(directory),
            FashionMnistData.ClassNames);
    }

    private static ImageSet ReadPictures(string directory)
    {
        var folder = ImageFolder.Read(directory, Seed);
        var train = folder.Train.ToArray();   // sorted by class
        new Random(Seed).Shuffle(train);
        return ImageSet.Create(directory, PictureSide, train, folder.Test, folder.Classes, (mlContext, data) =>
            mlContext.Transforms.LoadPictures("Image", imageFolder: "", nameof(ImageFile.Path)).Fit(data).Transform(data));
    }
}
