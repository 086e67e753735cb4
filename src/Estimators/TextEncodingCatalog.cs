using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Interchange;

namespace Microsoft.ML;

/// <summary>Adds <see cref="TextEncoding"/> to <c>mlContext.Transforms.Text</c>.</summary>
public static class TextEncodingCatalog
{
    /// <summary>
    /// Maps every text to a vector of length 1; texts of similar meaning get vectors close to each other: for any trainer, or for
    /// search.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="outputColumnName">Column that receives the vectors.</param>
    /// <param name="inputColumnName">Column with the texts; null for the same name.</param>
    /// <param name="weights">
    /// A BERT with its <c>vocab.txt</c>, such as all-MiniLM-L6-v2: <see cref="PretrainedWeights.FromFolder"/>.
    /// </param>
    /// <exception cref="ArgumentException">A column name is empty, or the weights are of another network.</exception>
    public static TextEncoding EncodeText(
        this TransformsCatalog.TextTransforms catalog, string outputColumnName, string? inputColumnName, PretrainedWeights weights) =>
        catalog.EncodeText(new TextEncoding.Options
        {
            OutputColumnName = outputColumnName,
            InputColumnName = inputColumnName,
            Weights = weights,
        });

    /// <summary>Gives every text a vector.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">Columns, weights. Copied: later changes have no effect.</param>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public static TextEncoding EncodeText(this TransformsCatalog.TextTransforms catalog, TextEncoding.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(options);
        return new TextEncoding(catalog.GetEnvironment(), options);
    }
}
