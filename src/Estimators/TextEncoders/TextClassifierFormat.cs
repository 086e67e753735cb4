using Microsoft.ML.MoE.Models;
using Microsoft.ML.Runtime;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// How a classifier of texts lies in a model zip: the format version and the checksums of the other entries in ML.NET's own
/// <c>Model.key</c>, the description as JSON, the tokenizer's pieces, the weights as safetensors, the history of the training as JSON.
/// </summary>
internal static class TextClassifierFormat
{
    /// <summary>Entry with the description.</summary>
    public const string DocumentEntry = "textclassifier.json";

    /// <summary>Entry with the weights.</summary>
    public const string WeightsEntry = "weights.safetensors";

    /// <summary>The name by which ML.NET finds the loader, at most 24 characters. Never change it: it is in every saved model.</summary>
    public const string LoaderSignature = "MoETextClassifier";

    // 0x00010001: the first.
    private const uint Version = 0x00010001;

    /// <summary>Writes the entries of a model.</summary>
    public static void Save(
        ModelSaveContext context, TextClassifierDocument document, WordPieceTokenizer tokenizer, TextClassifier model,
        TextClassificationSummary? training)
    {
        context.CheckAtModel();
        context.SetVersionInfo(GetVersion());
        ModelEntries.Write(context, DocumentEntry, document.ToBytes());
        ModelEntries.Write(context, WordPieceTokenizer.FileName, tokenizer.Vocabulary);
        ModelEntries.WriteWeights(context, WeightsEntry, model);
        ModelEntries.Write(context, TrainingDocument.Entry, TextTrainingDocument.ToBytes(training));
    }

    /// <summary>Reads the entries of a model and makes it.</summary>
    /// <param name="environment">Where ML.NET's settings are.</param>
    /// <param name="context">The zip, at the model.</param>
    /// <param name="device">Where the weights go.</param>
    /// <exception cref="FormatException">The file is damaged, or newer than this version.</exception>
    public static LoadedTextClassifier Load(IHostEnvironment environment, ModelLoadContext context, Device device) =>
        ModelEntries.Load(environment, context, () =>
        {
            ModelEntries.RequireReadable(context, Version);
            context.CheckAtModel(GetVersion());
            var document = TextClassifierDocument.FromBytes(
                ModelEntries.Read(context, DocumentEntry, ModelEntries.ReadChecksum(context)));
            var tokenizer = new WordPieceTokenizer(
                ModelEntries.Read(context, WordPieceTokenizer.FileName, ModelEntries.ReadChecksum(context)));
            tokenizer.RequireKnownBy(document.Encoder);
            var labels = LabelValues.FromJson(document.Labels);
            if (labels is not null && labels.Count != document.ClassCount)
                throw new InvalidDataException($"it names {labels.Count} classes, but its model has {document.ClassCount}.");
            var weightsChecksum = ModelEntries.ReadChecksum(context);
            var training = TextTrainingDocument.FromBytes(
                ModelEntries.Read(context, TrainingDocument.Entry, ModelEntries.ReadChecksum(context)));
            var parameters = TextClassifier.CountParameters(document.Encoder, document.ClassCount);
            var model = ModelEntries.ReadModel(context, WeightsEntry, weightsChecksum, parameters, sizeof(float), () =>
                new TextClassifier(
                    document.Encoder, document.ClassCount, device, document.Encoder.ComputeType(document.Precision, device)));
            return new LoadedTextClassifier(document, tokenizer, labels, training, model);
        });

    private static VersionInfo GetVersion() => new(
        modelSignature: "MOETXCLS",
        verWrittenCur: Version,
        verReadableCur: Version,
        verWeCanReadBack: Version,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(TextClassifierFormat).Assembly.FullName);
}
