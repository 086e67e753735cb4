using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class PeerLanguageModel
{
    /// <summary>Options of <see cref="PeerLanguageModel"/>. They start as <see cref="LanguageModelConfig.Small"/>, which trains on a CPU, or as the preset given.</summary>
    public sealed class Options : TrainerOptions
    {
        /// <summary>Starts from <see cref="LanguageModelConfig.Small"/>.</summary>
        public Options() : this(LanguageModelConfig.Small)
        {
        }

        /// <summary>Starts from a preset or any other architecture. Its vocabulary is not taken over: the tokenizer decides.</summary>
        /// <param name="architecture">For example <see cref="LanguageModelConfig.Base"/>.</param>
        public Options(LanguageModelConfig architecture)
        {
            ArgumentNullException.ThrowIfNull(architecture);
            (WeightDecay, Beta2, Monitor, PredictionBatchSize) = (0.1, 0.99, MonitoredQuantity.Loss, 32);
            ContextLength = architecture.ContextLength;
            Width = architecture.Width;
            Heads = architecture.Heads;
            Blocks = architecture.Blocks;
            FeedForwardWidth = architecture.FeedForwardWidth;
            SparseLayer = architecture.SparseLayer;
            SparseBlocks = architecture.SparseBlocks;
            Positions = architecture.Positions;
            TieEmbeddings = architecture.TieEmbeddings;
            Dropout = architecture.Dropout;
        }

        /// <summary>Column with the texts, each row a document. Rows without text are left out of the training. Default "Text".</summary>
        public string TextColumnName { get; set; } = "Text";

        /// <summary>Column that receives the natural logarithm of a text's probability, a Single; null for none. Default "LogLikelihood".</summary>
        public string? LogLikelihoodColumnName { get; set; } = "LogLikelihood";

        /// <summary>Column that receives the number of a text's tokens, an Int32; null for none. Default "TokenCount".</summary>
        public string? TokenCountColumnName { get; set; } = "TokenCount";

        /// <summary>Column that receives exp(−log-likelihood / tokens), a Single, NaN for an empty text; null for none. Default "Perplexity".</summary>
        public string? PerplexityColumnName { get; set; } = "Perplexity";

        /// <summary>Column that receives a continuation of the text, made by <see cref="Continuation"/>; null (default) for none. Costs as many forward passes as it has tokens, row by row.</summary>
        public string? ContinuationColumnName { get; set; }

        /// <summary>How the continuation column is made.</summary>
        [OutsideIdentity("it is for scoring")]
        public GenerationOptions Continuation { get; set; } = new();

        /// <summary>What the tokens are. Default: the bytes of UTF-8.</summary>
        [OutsideIdentity("the tokenizer itself is in it")]
        public TokenizerOptions Tokenizer { get; set; } = TokenizerOptions.Bytes;

        /// <summary>Tokens that the model sees at once, at least 1. Default 128.</summary>
        public int ContextLength { get; set; }

        /// <summary>Width of the model, a multiple of <see cref="Heads"/>. Default 128.</summary>
        public int Width { get; set; }

        /// <summary>Attention heads. Default 4.</summary>
        public int Heads { get; set; }

        /// <summary>Transformer blocks. Default 4.</summary>
        public int Blocks { get; set; }

        /// <summary>Hidden width of the dense feed-forward layers; null (default) for four times the width.</summary>
        public int? FeedForwardWidth { get; set; }

        /// <summary>
        /// What stands in the feed-forward slot of <see cref="SparseBlocks"/>. Default: PEER (<see cref="PeerOptions"/>) of 16,384 experts. For comparison also <see cref="ProductKeyMemoryOptions"/>,
        /// <see cref="MixtureSlotOptions"/>, <see cref="ExpertChoiceOptions"/>; null for the dense layer in every block.
        /// </summary>
        public FeedForwardSlotOptions? SparseLayer { get; set; }

        /// <summary>The blocks, from 0, that have <see cref="SparseLayer"/>; null (default) for the middle one.</summary>
        public IReadOnlyList<int>? SparseBlocks { get; set; }

        /// <summary>How positions are told apart. Default: by rotation.</summary>
        public PositionKind Positions { get; set; }

        /// <summary>Whether the vectors that tokens are read as also score the next token. Default false.</summary>
        public bool TieEmbeddings { get; set; }

        /// <summary>Probability of dropping a value while training, 0 to below 1. Default 0.</summary>
        public double Dropout { get; set; }

        /// <summary>The model's configuration for a vocabulary, checked.</summary>
        internal LanguageModelConfig CreateConfig(int vocabularySize)
        {
            var config = new LanguageModelConfig
            {
                VocabularySize = vocabularySize,
                ContextLength = ContextLength,
                Width = Width,
                Heads = Heads,
                Blocks = Blocks,
                FeedForwardWidth = FeedForwardWidth,
                SparseLayer = WeightedSparseLayer(),
                SparseBlocks = SparseBlocks?.ToArray(),
                Positions = Positions,
                TieEmbeddings = TieEmbeddings,
                Dropout = Dropout,
            };
            config.Validate();
            return config;
        }

        private FeedForwardSlotOptions? WeightedSparseLayer()
        {
            if (BalanceLossWeight is not { } weight)
                return SparseLayer;
            return SparseLayer is MixtureSlotOptions mixture
                ? mixture with { BalanceLossWeight = weight }
                : throw new ArgumentException($"{nameof(BalanceLossWeight)} is {weight}, but {nameof(SparseLayer)} is {SparseLayer?.GetType().Name ?? "null"}, which has no balance loss; leave it out.");
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

        /// <summary>A copy that later changes do not reach.</summary>
        internal override Options Copy() => (Options)base.Copy();

        /// <summary>Checks all that can be checked before there are data.</summary>
        /// <inheritdoc/>
        public override void Validate()
        {
            base.Validate();
            CreateColumns().Validate();
            if (Continuation is null || Tokenizer is null)
                throw new ArgumentException($"{(Continuation is null ? nameof(Continuation) : nameof(Tokenizer))} is null; it must be set.");
            Continuation.Validate();
            Refuse(LabelSmoothing != 0, nameof(LabelSmoothing), LabelSmoothing, "a language model learns the next token as it is");
            Refuse(LayerDecay != 1, nameof(LayerDecay), LayerDecay, "a language model starts from random weights, whose layers learn alike");
            _ = CreateConfig(vocabularySize: 2);
            SparseLayer?.TableOptions?.RequireRateBeside(Optimizer);
        }
    }
}
