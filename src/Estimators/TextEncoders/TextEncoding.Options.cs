using Microsoft.ML.MoE.Interchange;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class TextEncoding
{
    /// <summary>Options of <see cref="TextEncoding"/>.</summary>
    public sealed class Options
    {
        /// <summary>
        /// The text encoder: a BERT, or another known one with a <c>vocab.txt</c> in its folder
        /// (<see cref="PretrainedWeights.FromFolder"/>). Must be set.
        /// </summary>
        public PretrainedWeights? Weights { get; set; }

        /// <summary>Column that receives the vectors. Default "Features".</summary>
        public string OutputColumnName { get; set; } = "Features";

        /// <summary>Column with the texts. Null (default): <see cref="OutputColumnName"/>.</summary>
        public string? InputColumnName { get; set; }

        /// <summary>
        /// Whether vectors are brought to length 1, so that the inner product of two is the cosine of their angle. Default true, which
        /// sentence encoders such as all-MiniLM-L6-v2 are trained for.
        /// </summary>
        public bool Normalize { get; set; } = true;

        /// <summary>Texts that are encoded in one forward pass, at least 1. Default 64.</summary>
        public int PredictionBatchSize { get; set; } = 64;

        /// <summary>Type of the matrix products. Default: chosen by the hardware.</summary>
        public Precision Precision { get; set; }

        internal string Input => InputColumnName ?? OutputColumnName;

        internal Options Copy() => (Options)MemberwiseClone();

        /// <summary>Checks the options.</summary>
        /// <exception cref="ArgumentException">One is out of range.</exception>
        internal void Validate()
        {
            if (Weights is null)
                throw new ArgumentException(
                    $"{nameof(Weights)} is null; it must be the weights of a text encoder ({nameof(PretrainedWeights)}."
                        + $"{nameof(PretrainedWeights.FromFolder)}).");
            _ = Weights.RequireTextEncoder(nameof(Weights));
            if (string.IsNullOrWhiteSpace(OutputColumnName))
                throw new ArgumentException($"{nameof(OutputColumnName)} is empty; it must name a column.");
            if (InputColumnName is { } input && string.IsNullOrWhiteSpace(input))
                throw new ArgumentException($"{nameof(InputColumnName)} is empty; it must name a column, or be null.");
            OptionChecks.AtLeast(1, PredictionBatchSize, nameof(PredictionBatchSize));
            OptionChecks.Defined(Precision, nameof(Precision));
        }
    }
}
