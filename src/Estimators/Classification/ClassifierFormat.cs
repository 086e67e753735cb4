using Microsoft.ML.MoE.Models;
using Microsoft.ML.Runtime;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// How an image classifier lies in a model zip: the format version and the checksums of the other entries in ML.NET's own <c>Model.key</c>,
/// the description and the history of the training as JSON, the weights as safetensors.
/// </summary>
/// <remarks>
/// A zip's own checksums are not compared when ML.NET reads it, so without ours an altered weight would go unnoticed. Nothing is made of
/// what a file says before the checksums agree, and no model is made that needs more memory than the file has weights.
/// </remarks>
internal static class ClassifierFormat
{
    /// <summary>Entry with the description.</summary>
    public const string DocumentEntry = "classifier.json";

    /// <summary>Entry with the weights.</summary>
    public const string WeightsEntry = "weights.safetensors";

    /// <summary>The name by which ML.NET finds the loader, at most 24 characters. Never change it: it is in every saved model.</summary>
    public const string LoaderSignature = "MoEImageClassifier";

    // 0x00010001: the first. 0x00010002: with the history of the training.
    private const uint VersionWritten = 0x00010002;
    private const uint VersionReadable = 0x00010002;   // the oldest reader that can read what we write
    private const uint FirstWithTraining = 0x00010002;
    private const uint OldestRead = 0x00010001;

    /// <summary>Writes the entries of a model.</summary>
    public static void Save(
        ModelSaveContext context, ClassifierDocument document, ImageClassifier model, ImageClassificationSummary? training)
    {
        context.CheckAtModel();
        context.SetVersionInfo(GetVersion());

        ModelEntries.Write(context, DocumentEntry, document.ToBytes());
        ModelEntries.WriteWeights(context, WeightsEntry, model);
        ModelEntries.Write(context, TrainingDocument.Entry, ImageTrainingDocument.ToBytes(training));
    }

    /// <summary>Reads the entries of a model and makes it.</summary>
    /// <param name="environment">Where ML.NET's settings are.</param>
    /// <param name="context">The zip, at the model.</param>
    /// <param name="device">Where the weights go.</param>
    /// <exception cref="FormatException">The file is damaged, or newer than this version.</exception>
    public static LoadedClassifier Load(IHostEnvironment environment, ModelLoadContext context, Device device) =>
        ModelEntries.Load(environment, context, () => LoadEntries(context, device));

    private static LoadedClassifier LoadEntries(ModelLoadContext context, Device device)
    {
        ModelEntries.RequireReadable(context, VersionWritten);
        context.CheckAtModel(GetVersion());
        var documentChecksum = ModelEntries.ReadChecksum(context);
        var weightsChecksum = ModelEntries.ReadChecksum(context);
        var trainingChecksum = context.Header.ModelVerWritten >= FirstWithTraining ? ModelEntries.ReadChecksum(context) : null;

        var document = ClassifierDocument.FromBytes(ModelEntries.Read(context, DocumentEntry, documentChecksum));
        var training = trainingChecksum is null
            ? null
            : ImageTrainingDocument.FromBytes(ModelEntries.Read(context, TrainingDocument.Entry, trainingChecksum));
        var config = document.ReadModel();
        document.Normalization.Validate(config.Channels);
        var column = document.ReadColumn(config);
        var labels = LabelValues.FromJson(document.Labels);
        if (labels is not null && labels.Count != config.ClassCount)
            throw new InvalidDataException($"it names {labels.Count} classes, but its model has {config.ClassCount}.");
        var model = ModelEntries.ReadModel(context, WeightsEntry, weightsChecksum, config.GetCost().Parameters, sizeof(float), () =>
            config.Build(device, config.ComputeType(document.Precision, device)));
        return new(document, column, labels, training, model);
    }

    private static VersionInfo GetVersion() => new(
        modelSignature: "MOEIMGCL",
        verWrittenCur: VersionWritten,
        verReadableCur: VersionReadable,
        verWeCanReadBack: OldestRead,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(ClassifierFormat).Assembly.FullName);
}
