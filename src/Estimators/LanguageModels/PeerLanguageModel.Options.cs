using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class PeerLanguageModel
{
    /// <summary>
    /// Options of <see cref="PeerLanguageModel"/>. They start as <see cref="LanguageModelConfig.Small"/>, which trains on a CPU, or as the
    /// preset given.
    /// </summary>
    public sealed class Options : TrainerOptions
    {
        /// <summary>
        /// Defaults of its own: a decay of the second moment of 0.99, as usual on batches of few tokens; the loss decides which epoch is
        /// the best; 32 rows, and windows of long texts, are scored together.
        /// </summary>
        public Options() => (Beta2, Monitor, PredictionBatchSize) = (0.99, MonitoredQuantity.Loss, 32);

        /// <summary>
        /// What the network looks like, for example <c>LanguageModelConfig.Small with { ContextLength = 64 }</c>. Null (default):
        /// <see cref="LanguageModelConfig.Small"/>, which trains on a CPU. Its vocabulary is not taken over: the tokenizer decides.
        /// </summary>
        [OutsideIdentity("the model's configuration is in it")]
        public LanguageModelConfig? Architecture { get; set; }

        /// <summary>Column with the texts, each row a document. Rows without text are left out of the training. Default "Text".</summary>
        public string TextColumnName { get; set; } = "Text";

        /// <summary>
        /// Column that receives the natural logarithm of a text's probability, a Single; null for none. Default "LogLikelihood".
        /// </summary>
        public string? LogLikelihoodColumnName { get; set; } = "LogLikelihood";

        /// <summary>Column that receives the number of a text's tokens, an Int32; null for none. Default "TokenCount".</summary>
        public string? TokenCountColumnName { get; set; } = "TokenCount";

        /// <summary>
        /// Column that receives exp(−log-likelihood / tokens), a Single, NaN for an empty text; null for none. Default "Perplexity".
        /// </summary>
        public string? PerplexityColumnName { get; set; } = "Perplexity";

        /// <summary>
        /// Column that receives a continuation of the text, made by <see cref="Continuation"/>; null (default) for none. Costs as many
        /// forward passes as it has tokens, row by row.
        /// </summary>
        public string? ContinuationColumnName { get; set; }

        /// <summary>How the continuation column is made.</summary>
        [OutsideIdentity("it is for scoring")]
        public GenerationOptions Continuation { get; set; } = new();

        /// <summary>What the tokens are. Default: the bytes of UTF-8.</summary>
        [OutsideIdentity("the tokenizer itself is in it")]
        public TokenizerOptions Tokenizer { get; set; } = TokenizerOptions.Bytes;

        /// <summary>The model's configuration for a vocabulary, checked.</summary>
        internal LanguageModelConfig CreateConfig(int vocabularySize)
        {
            var config = (Architecture ?? LanguageModelConfig.Small) with { VocabularySize = vocabularySize };
            if (BalanceLossWeight is { } weight)
            {
                config = config with
                {
                    SparseLayer = config.SparseLayer is MixtureSlotOptions mixture
                        ? mixture with { BalanceLossWeight = weight }
                        : throw new ArgumentException(
                            $"{nameof(BalanceLossWeight)} is {weight}, but {nameof(config.SparseLayer)} is "
                                + $"{config.SparseLayer?.GetType().Name ?? "null"}, "
                                + "which has no balance loss; leave it out."),
                };
            }
            config.Validate();
            return config;
        }

        /// <summary>The columns that are read and added.</summary>
        internal LanguageModelColumns CreateColumns() => new()
        {
            Text = TextColumnName,
            LogLikelihood = LogLikelihoodColumnName,
            TokenCount = TokenCountColumnName,
            Perplexity = PerplexityColumnName,
            Embedding = EmbeddingColumnName,
            Continuation = ContinuationColumnName,
        };

        /// <summary>Those of language models first.</summary>
        internal override IEnumerable<RecipeStep> Recipe =>
            [
                new(nameof(WeightDecay), 0.1, "usual for language models"),
                .. base.Recipe.Where(step => step.Option != nameof(LabelSmoothing)),
            ];

        /// <summary>A copy that later changes do not reach.</summary>
        internal override Options Copy() => (Options)base.Copy();

        /// <summary>Checks all that can be checked before there are data.</summary>
        /// <inheritdoc/>
        internal override void Validate()
        {
            base.Validate();
            CreateColumns().Validate();
            if (Continuation is null || Tokenizer is null)
                throw new ArgumentException(
                    $"{(Continuation is null ? nameof(Continuation) : nameof(Tokenizer))} is null; it must be set.");
            Continuation.Validate();
            Refuse(LabelSmoothing is > 0, nameof(LabelSmoothing), LabelSmoothing, "a language model learns the next token as it is");
            Refuse(
                LayerDecay != 1, nameof(LayerDecay), LayerDecay, "a language model starts from random weights, whose layers learn alike");
            CreateConfig(vocabularySize: 2).SparseLayer?.TableOptions?.RequireRateBeside(Optimizer ?? OptimizerKind.AdamW);
        }
    }
}
