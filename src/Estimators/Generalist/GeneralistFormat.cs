using Microsoft.ML.MoE.Models;
using Microsoft.ML.Runtime;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// How a generalist lies in a model zip: checksums in ML.NET's own <c>Model.key</c>, the description as JSON, the tokenizer's files, the
/// weights as safetensors, the history of the training as JSON.
/// </summary>
internal static class GeneralistFormat
{
    /// <summary>Entry with the description.</summary>
    public const string DocumentEntry = "generalist.json";

    /// <summary>The name by which ML.NET finds the loader, at most 24 characters. Never change it: it is in every saved model.</summary>
    public const string LoaderSignature = "MoEGeneralist";

    private const string WeightsEntry = "weights.safetensors";
    private const uint Version = 0x00010002;   // 0x00010001: the first; 0x00010002: linear heads of tuned models, earlier trainings
    private const uint OldestRead = 0x00010001;

    /// <summary>Writes the entries of a model.</summary>
    public static void Save(
        ModelSaveContext context, GeneralistDocument document, TextTokenizer tokenizer, Generalist model, GeneralistSummary? training)
    {
        context.CheckAtModel();
        context.SetVersionInfo(GetVersion());
        ModelEntries.Write(context, DocumentEntry, document.ToBytes());
        foreach (var file in document.TokenizerFiles)
            ModelEntries.Write(context, file, tokenizer.Files[file]);
        ModelEntries.WriteWeights(context, WeightsEntry, model);
        ModelEntries.Write(context, TrainingDocument.Entry, GeneralistTrainingDocument.ToBytes(training));
    }

    /// <summary>Reads the entries of a model and makes it.</summary>
    /// <exception cref="FormatException">The file is damaged, or newer than this version.</exception>
    public static (GeneralistDocument Document, GeneralistScorer Scorer, GeneralistSummary? Training) Load(
        IHostEnvironment environment, ModelLoadContext context, Device device) =>
        ModelEntries.Load(environment, context, () => LoadEntries(context, device));

    private static (GeneralistDocument Document, GeneralistScorer Scorer, GeneralistSummary? Training) LoadEntries(
        ModelLoadContext context, Device device)
    {
        ModelEntries.RequireReadable(context, Version);
        context.CheckAtModel(GetVersion());
        var document = GeneralistDocument.FromBytes(ModelEntries.Read(context, DocumentEntry, ModelEntries.ReadChecksum(context)));
        var files = document.TokenizerFiles.ToDictionary(
            file => file, file => ModelEntries.Read(context, file, ModelEntries.ReadChecksum(context)));
        var tokenizer = document.Tokenizer.Open(file =>
            files.GetValueOrDefault(file) ?? throw new InvalidDataException($"the tokenizer's file '{file}' is missing."));
        var config = GeneralistConfig.FromJson(document.Model.ToJsonString());
        if (config.VocabularySize != tokenizer.VocabularySize)
            throw new InvalidDataException($"its tokenizer has {tokenizer.VocabularySize} tokens, but its model {config.VocabularySize}.");
        var inputs = document.ReadInputs(config);
        var weightsChecksum = ModelEntries.ReadChecksum(context);
        var training = GeneralistTrainingDocument.FromBytes(
            ModelEntries.Read(context, TrainingDocument.Entry, ModelEntries.ReadChecksum(context)));
        var model = ModelEntries.ReadModel(context, WeightsEntry, weightsChecksum, config.GetCost().Parameters, sizeof(float), () =>
            config.Build(device));
        return (document, new GeneralistScorer(model, tokenizer, inputs, document.Prediction, device), training);
    }

    private static VersionInfo GetVersion() => new(
        modelSignature: "MOEGENER",
        verWrittenCur: Version,
        verReadableCur: Version,
        verWeCanReadBack: OldestRead,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(GeneralistFormat).Assembly.FullName);
}
