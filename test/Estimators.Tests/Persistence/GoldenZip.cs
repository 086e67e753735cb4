using Estimators.Tests.LanguageModels;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;

namespace Estimators.Tests.Persistence;

/// <summary>
/// Writes the golden zips of the present format version, for a WideNet, a Sparse-MLP, a ViT with experts and a language model, where there are none yet: <c>MOE_ML_TEST_WRITE_GOLDEN=test/Estimators.Tests/Persistence dotnet run --project test/Estimators.Tests</c>.
/// A zip is never written again.
/// </summary>
internal static class GoldenZip
{
    /// <summary>The name of a WideNet's files of the present version.</summary>
    public const string Name = "golden-0x00010002";

    /// <summary>The name of a Sparse-MLP's.</summary>
    public const string SparseMlpName = "golden-sparse-mlp-0x00010002";

    /// <summary>The name of a ViT's.</summary>
    public const string VisionTransformerName = "golden-vit-0x00010002";

    /// <summary>The name of a language model's, whose format has versions of its own.</summary>
    public const string LanguageModelName = "golden-language-model-0x00010002";

    /// <summary>Rows that are scored.</summary>
    public const int Rows = 10;

    /// <summary>The path of a golden file beside the tests.</summary>
    public static string File(string name) => Path.Combine(AppContext.BaseDirectory, "Persistence", name);

    /// <summary>Writes instead of running tests where the variable above asks for it.</summary>
    /// <returns>Whether it did.</returns>
    public static bool Write()
    {
        if (Environment.GetEnvironmentVariable("MOE_ML_TEST_WRITE_GOLDEN") is not { Length: > 0 } folder)
            return false;

        Write(folder, Name, Colours.Options());
        Write(folder, SparseMlpName, Colours.SparseMlpOptions());
        Write(folder, VisionTransformerName, Colours.VisionTransformerOptions());
        Write(folder, LanguageModelName, ml => ml.Transforms.Text.PeerLanguageModel(LanguageModelOptions()), ml => Rhymes.Data(ml), FreshProcess.DescribeTexts);
        return true;
    }

    private static void Write(string folder, string name, ImageClassificationOptions options) =>
        Write(folder, name, ml => Colours.Pipeline(ml, options), ml => ml.Data.LoadFromEnumerable(Colours.Rows(80)), (ml, model) => FreshProcess.Describe(ml, model, Rows));

    private static void Write<T>(string folder, string name, Func<MLContext, IEstimator<T>> estimator, Func<MLContext, IDataView> load, Func<MLContext, ITransformer, string> describe)
        where T : class, ITransformer
    {
        var path = Path.Combine(folder, name);
        if (System.IO.File.Exists(path + ".zip"))
            return;
        var ml = new MLContext(seed: 1);
        var data = load(ml);
        var model = estimator(ml).Fit(data);
        using var disposed = model as IDisposable;
        ml.Model.Save(model, data.Schema, path + ".zip");
        System.IO.File.WriteAllText(path + ".txt", describe(ml, model) + "\n");
    }

    // A few thousand weights. What continues a text is not left to chance, which a last digit could turn.
    private static PeerLanguageModel.Options LanguageModelOptions()
    {
        var options = Rhymes.Options();
        (options.Width, options.FeedForwardWidth, options.Epochs, options.Tokenizer) = (16, 32, 6, TokenizerOptions.Characters);
        options.SparseLayer = new PeerOptions { Experts = 64, Heads = 2, ExpertsPerHead = 4, QueryWidth = 8 };
        options.Continuation = new GenerationOptions { MaxTokens = 6, Temperature = 0 };
        return options;
    }
}
