using System.Security.Cryptography;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using Microsoft.ML.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// How an image classifier lies in a model zip: the format version and the checksums of the other entries in ML.NET's own <c>Model.key</c>, the description and the history of
/// the training as JSON, the weights as safetensors.
/// </summary>
/// <remarks>
/// A zip's own checksums are not compared when ML.NET reads it, so without ours an altered weight would go unnoticed. Nothing is made of what a file says before the checksums
/// agree, and no model is made that needs more memory than the file has weights.
/// </remarks>
internal static class ClassifierFormat
{
    /// <summary>Entry with the description.</summary>
    public const string DocumentEntry = "classifier.json";

    /// <summary>Entry with the weights.</summary>
    public const string WeightsEntry = "weights.safetensors";

    /// <summary>Entry with the history of the training.</summary>
    public const string TrainingEntry = "training.json";

    /// <summary>The name by which ML.NET finds the loader, at most 24 characters. Never change it: it is in every saved model.</summary>
    public const string LoaderSignature = "MoEImageClassifier";

    // 0x00010001: the first. 0x00010002: with the history of the training.
    private const uint VersionWritten = 0x00010002;
    private const uint VersionReadable = 0x00010002;   // the oldest reader that can read what we write
    private const uint FirstWithTraining = 0x00010002;
    private const uint OldestRead = 0x00010001;

    // A description with a million class names takes a few dozen megabytes, and so does the history of a thousand epochs of a hundred layers of a hundred experts.
    private const int MostJsonBytes = 1 << 28;

    private const int ChecksumBytes = SHA256.HashSizeInBytes;

    /// <summary>Writes the entries of a model.</summary>
    public static void Save(ModelSaveContext context, ClassifierDocument document, ImageClassifier model, ImageClassificationSummary? training)
    {
        context.CheckAtModel();
        context.SetVersionInfo(GetVersion());

        var description = document.ToBytes();
        context.Writer.Write(SHA256.HashData(description));
        context.SaveBinaryStream(DocumentEntry, writer => writer.Write(description));
        context.SaveBinaryStream(WeightsEntry, writer =>
        {
            using var sha = SHA256.Create();
            using (var hashing = new CryptoStream(writer.BaseStream, sha, CryptoStreamMode.Write, leaveOpen: true))
                ModuleWeights.Save(model, hashing);
            context.Writer.Write(sha.Hash!);
        });

        var history = TrainingDocument.ToBytes(training);
        context.Writer.Write(SHA256.HashData(history));
        context.SaveBinaryStream(TrainingEntry, writer => writer.Write(history));
    }

    /// <summary>Reads the entries of a model and makes it.</summary>
    /// <param name="environment">Where ML.NET's settings are.</param>
    /// <param name="context">The zip, at the model.</param>
    /// <param name="device">Where the weights go.</param>
    /// <exception cref="FormatException">The file is damaged, or newer than this version.</exception>
    public static LoadedClassifier Load(IHostEnvironment environment, ModelLoadContext context, Device device)
    {
        try
        {
            if (context.Header.ModelVerReadable > VersionWritten)
            {
                throw new InvalidDataException(
                    $"it was saved by a newer version of MoE.ML (format 0x{context.Header.ModelVerReadable:x8}; this version reads up to 0x{VersionWritten:x8}). Update the package MoE.ML.");
            }
            context.CheckAtModel(GetVersion());
            var documentChecksum = ReadChecksum(context);
            var weightsChecksum = ReadChecksum(context);
            var trainingChecksum = context.Header.ModelVerWritten >= FirstWithTraining ? ReadChecksum(context) : null;

            var document = ClassifierDocument.FromBytes(ReadJson(context, DocumentEntry, documentChecksum));
            var training = trainingChecksum is null ? null : TrainingDocument.FromBytes(ReadJson(context, TrainingEntry, trainingChecksum));
            var config = document.ReadModel();
            document.Normalization.Validate(config.Channels);
            var column = document.ReadColumn(config);
            var labels = LabelValues.FromJson(document.Labels);
            if (labels is not null && labels.Count != config.ClassCount)
                throw new InvalidDataException($"it names {labels.Count} classes, but its model has {config.ClassCount}.");
            return new(document, column, labels, training, LoadModel(context, config, weightsChecksum, device, config.ComputeType(document.Precision, device)));
        }
        catch (Exception exception) when (exception is InvalidDataException or EndOfStreamException or FormatException or OverflowException)
        {
            // ML.NET makes loaders by reflection: only exceptions that it has marked come out with their message. The inner exception stays out, so that ours is the base exception.
            throw environment.ExceptDecode($"The model '{context.Directory}' in this file cannot be loaded: {exception.Message}");
        }
    }

    private static byte[] ReadChecksum(ModelLoadContext context)
    {
        var checksum = context.Reader.ReadBytes(ChecksumBytes);
        return checksum.Length == ChecksumBytes ? checksum : throw new InvalidDataException("it is truncated.");
    }

    private static byte[] ReadJson(ModelLoadContext context, string entry, byte[] checksum)
    {
        byte[] bytes = [];
        Open(context, entry, stream =>
        {
            if (stream.Length > MostJsonBytes)
                throw new InvalidDataException($"the entry '{entry}' has {stream.Length} bytes; at most {MostJsonBytes} are read.");
            bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
        });
        Compare(SHA256.HashData(bytes), checksum, entry);
        return bytes;
    }

    private static ImageClassifier LoadModel(ModelLoadContext context, ImageClassifierConfig config, byte[] checksum, Device device, ScalarType computeType)
    {
        ImageClassifier? model = null;
        try
        {
            Open(context, WeightsEntry, stream =>
            {
                Compare(SHA256.HashData(stream), checksum, WeightsEntry);
                var parameters = config.GetCost().Parameters;
                if (parameters <= 0 || parameters > stream.Length / sizeof(float))
                    throw new InvalidDataException($"its description asks for {parameters} parameters, but '{WeightsEntry}' has {stream.Length} bytes.");
                model = config.Build(device, computeType);
                stream.Position = 0;
                ModuleWeights.Load(model, stream, stream.Length);
            });
            return model!;
        }
        catch
        {
            model?.Dispose();
            throw;
        }
    }

    private static void Open(ModelLoadContext context, string entry, Action<Stream> read)
    {
        if (!context.TryLoadBinaryStream(entry, reader => read(reader.BaseStream)))
            throw new InvalidDataException($"it has no entry '{entry}'.");
    }

    private static void Compare(byte[] found, byte[] wanted, string entry)
    {
        if (!found.AsSpan().SequenceEqual(wanted))
            throw new InvalidDataException($"the entry '{entry}' has been altered or is damaged (its checksum differs).");
    }

    private static VersionInfo GetVersion() => new(
        modelSignature: "MOEIMGCL",
        verWrittenCur: VersionWritten,
        verReadableCur: VersionReadable,
        verWeCanReadBack: OldestRead,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(ClassifierFormat).Assembly.FullName);
}
