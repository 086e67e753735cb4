using Microsoft.ML.MoE.Models;
using Microsoft.ML.Runtime;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// How a text encoder lies in a model zip: the format version and the checksums of the other entries in ML.NET's own <c>Model.key</c>, the
/// description as JSON, the tokenizer's pieces, the weights as safetensors.
/// </summary>
internal static class TextEncodingFormat
{
    /// <summary>Entry with the description.</summary>
    public const string DocumentEntry = "textencoder.json";

    /// <summary>Entry with the weights.</summary>
    public const string WeightsEntry = "weights.safetensors";

    /// <summary>The name by which ML.NET finds the loader, at most 24 characters. Never change it: it is in every saved model.</summary>
    public const string LoaderSignature = "MoETextEncoder";

    // 0x00010001: the first.
    private const uint Version = 0x00010001;

    private const int LeastBytesPerWeight = 4;

    /// <summary>Writes the entries of a model.</summary>
    public static void Save(ModelSaveContext context, TextEncodingDocument document, WordPieceTokenizer tokenizer, TextEncoder model)
    {
        context.CheckAtModel();
        context.SetVersionInfo(GetVersion());
        ModelEntries.Write(context, DocumentEntry, document.ToBytes());
        ModelEntries.Write(context, WordPieceTokenizer.FileName, tokenizer.Vocabulary);
        ModelEntries.WriteWeights(context, WeightsEntry, model);
    }

    /// <summary>Reads the entries of a model and makes it.</summary>
    /// <param name="environment">Where ML.NET's settings are.</param>
    /// <param name="context">The zip, at the model.</param>
    /// <param name="device">Where the weights go.</param>
    /// <exception cref="FormatException">The file is damaged, or newer than this version.</exception>
    public static (TextEncodingDocument Document, WordPieceTokenizer Tokenizer, TextEncoder Model) Load(
        IHostEnvironment environment, ModelLoadContext context, Device device) =>
        ModelEntries.Load(environment, context, () =>
        {
            ModelEntries.RequireReadable(context, Version);
            context.CheckAtModel(GetVersion());
            var document = TextEncodingDocument.FromBytes(ModelEntries.Read(context, DocumentEntry, ModelEntries.ReadChecksum(context)));
            var tokenizer = new WordPieceTokenizer(
                ModelEntries.Read(context, WordPieceTokenizer.FileName, ModelEntries.ReadChecksum(context)));
            tokenizer.RequireKnownBy(document.Encoder);
            var checksum = ModelEntries.ReadChecksum(context);
            var model = ModelEntries.ReadModel(
                context, WeightsEntry, checksum, document.Encoder.GetCost().Parameters, LeastBytesPerWeight, () =>
                    document.Encoder.Build(device, document.Encoder.ComputeType(document.Precision, device)));
            return (document, tokenizer, model);
        });

    private static VersionInfo GetVersion() => new(
        modelSignature: "MOETXENC",
        verWrittenCur: Version,
        verReadableCur: Version,
        verWeCanReadBack: Version,
        loaderSignature: LoaderSignature,
        loaderAssemblyName: typeof(TextEncodingFormat).Assembly.FullName);
}
