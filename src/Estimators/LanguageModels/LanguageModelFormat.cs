using Microsoft.ML.MoE.Models;
using Microsoft.ML.Runtime;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// How a language model lies in a model zip: the format version and the checksums of the other entries in ML.NET's own <c>Model.key</c>,
/// the description as JSON, the tokenizer's files, the weights as safetensors, the history of the training as JSON.
/// </summary>
/// <remarks>
/// Nothing is made of what an entry says before its checksum agrees, and no model is made that needs much more memory than the file has
/// weights. Weights stream tensor by tensor in both directions; ML.NET deflates them, which takes about 45 seconds a gigabyte.
/// </remarks>
internal static class LanguageModelFormat
{
    /// <summary>Entry with the description.</summary>
    public const string DocumentEntry = "languagemodel.json";

    /// <summary>Entry with the weights.</summary>
    public const string WeightsEntry = "weights.safetensors";

    /// <summary>The name by which ML.NET finds the loader, at most 24 characters. Never change it: it is in every saved model.</summary>
    public const string LoaderSignature = "MoELanguageModel";

    // 0x00010001: the first. 0x00010002: with the history of the training.
    private const uint VersionWritten = 0x00010002;
    private const uint VersionReadable = 0x00010002;   // the oldest reader that can read what we write
    private const uint FirstWithTraining = 0x00010002;
    private const uint OldestRead = 0x00010001;

    private const int LeastBytesPerWeight = 2;   // tables of experts may be bfloat16

    /// <summary>Writes the entries of a model.</summary>
    public static void Save(
        ModelSaveContext context,
        LanguageModelDocument document,
        TextTokenizer tokenizer,
        LanguageModel model,
        LanguageModelSummary? training)
    {
        context.CheckAtModel();
        context.SetVersionInfo(GetVersion());
        ModelEntries.Write(context, DocumentEntry, document.ToBytes());
        foreach (var file in document.TokenizerFiles)
            ModelEntries.Write(context, file, tokenizer.Files[file]);
        ModelEntries.WriteWeights(context, WeightsEntry, model);
        ModelEntries.Write(context, TrainingDocument.Entry, LanguageModelTrainingDocument.ToBytes(training));
    }

    /// <summary>Reads the entries of a model and makes it.</summary>
    /// <param name="environment">Where ML.NET's settings are.</param>
    /// <param name="context">The zip, at the model.</param>
    /// <param name="device">Where the weights go.</param>
    /// <exception cref="FormatException">The file is damaged, or newer than this version.</exception>
    /// <exception cref="InvalidOperationException">The model does not fit into the memory that is available.</exception>
    public static LoadedLanguageModel Load(IHostEnvironment environment, ModelLoadContext context, Device device) =>
        ModelEntries.Load(environment, context, () => LoadEntries(context, device));

    private static LoadedLanguageModel LoadEntries(ModelLoadContext context, Device device)
    {
        ModelEntries.RequireReadable(context, VersionWritten);
        context.CheckAtModel(GetVersion());
        var document = LanguageModelDocument.FromBytes(ModelEntries.Read(context, DocumentEntry, ModelEntries.ReadChecksum(context)));
        var files = document.TokenizerFiles.ToDictionary(
            file => file, file => ModelEntries.Read(context, file, ModelEntries.ReadChecksum(context)));
        var tokenizer = document.Tokenizer.Open(file =>
            files.GetValueOrDefault(file) ?? throw new InvalidDataException($"the tokenizer's file '{file}' is missing."));
        var config = document.ReadModel();
        if (config.VocabularySize != tokenizer.VocabularySize)
            throw new InvalidDataException($"its tokenizer has {tokenizer.VocabularySize} tokens, but its model {config.VocabularySize}.");
        var weightsChecksum = ModelEntries.ReadChecksum(context);
        var training =
            context.Header.ModelVerWritten >= FirstWithTraining
                ? LanguageModelTrainingDocument.FromBytes(
                    ModelEntries.Read(context, TrainingDocument.Entry, ModelEntries.ReadChecksum(context)))
                : null;
        var model = ModelEntries.ReadModel(context, WeightsEntry, weightsChecksum, config.GetCost().Parameters, LeastBytesPerWeight, () =>
            config.Build(device, config.ComputeType(document.Precision, device)));
        return new(document, tokenizer, training, model);
    }

    private static VersionInfo GetVersion() => new(
        modelSignature: "MOELANGM",
        verWrittenCur: VersionWritten,
        verReadableCur: VersionReadable,
        verWeCanReadBack: OldestRead,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(LanguageModelFormat).Assembly.FullName);
}
