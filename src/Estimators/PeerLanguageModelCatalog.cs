using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;

namespace Microsoft.ML;

/// <summary>Adds <see cref="MoE.Estimators.PeerLanguageModel"/> to <c>mlContext.Transforms.Text</c>.</summary>
public static class PeerLanguageModelCatalog
{
    /// <summary>Trains a language model on the bytes of texts, with defaults that suit a CPU.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="textColumnName">Column with the texts.</param>
    /// <exception cref="ArgumentException">The column name is empty.</exception>
    public static PeerLanguageModel PeerLanguageModel(this TransformsCatalog.TextTransforms catalog, string textColumnName = "Text") =>
        catalog.PeerLanguageModel(new PeerLanguageModel.Options { TextColumnName = textColumnName });

    /// <summary>Trains a language model.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">Tokenizer, architecture, training, columns. Copied: later changes have no effect.</param>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public static PeerLanguageModel PeerLanguageModel(this TransformsCatalog.TextTransforms catalog, PeerLanguageModel.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(options);
        return new PeerLanguageModel(catalog.GetEnvironment(), options);
    }
}
