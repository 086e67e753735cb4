using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class PeerLanguageModel
{
    /// <summary>Options of <see cref="PeerLanguageModel"/>. They start as <see cref="LanguageModelConfig.Small"/>, which trains on a CPU, or as the preset given.</summary>
    public sealed class Options
    {
        // What is told otherwise (by the tokenizer itself, by the seed), or changes no weight.
        private static readonly HashSet<string> WithoutInfluence =
        [
            nameof(Tokenizer), nameof(Continuation), nameof(Seed), nameof(Threads), nameof(LookAhead), nameof(PredictionBatchSize), nameof(ProgressInterval), nameof(Progress), nameof(CancellationToken),
            nameof(CheckpointFolder), nameof(CheckpointEverySteps), nameof(CheckpointEveryEpochs), nameof(CheckpointsKept), nameof(Resume),
        ];

        /// <summary>Starts from <see cref="LanguageModelConfig.Small"/>.</summary>
        public Options() : this(LanguageModelConfig.Small)
        {
        }

        /// <summary>Starts from a preset or any other architecture. Its vocabulary is not taken over: the tokenizer decides.</summary>
        /// <param name="architecture">For example <see cref="LanguageModelConfig.Base"/>.</param>
        public Options(LanguageModelConfig architecture)
        {
            ArgumentNullException.ThrowIfNull(architecture);
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

        /// <summary>Column that receives the mean of the last layer over a text, a vector of Single as long as the model is wide; null (default) for none.</summary>
        public string? EmbeddingColumnName { get; set; }

        /// <summary>Column that receives a continuation of the text, made by <see cref="Continuation"/>; null (default) for none. Costs as many forward passes as it has tokens, row by row.</summary>
        public string? ContinuationColumnName { get; set; }

        /// <summary>How the continuation column is made.</summary>
        public GenerationOptions Continuation { get; set; } = new();

        /// <summary>What the tokens are. Default: the bytes of UTF-8.</summary>
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

        /// <summary>Passes over the training data, at least 1. Default 10. In each, documents are joined and cut into windows at other places.</summary>
        public int Epochs { get; set; } = 10;

        /// <summary>
        /// Steps after which training ends, even within an epoch, at least 1; null (default) for no such limit. The learning rate is laid out over these steps, or over all epochs if they have fewer.
        /// </summary>
        public int? MaxSteps { get; set; }

        /// <summary>
        /// Time after which training ends, above 0; null (default) for none. Reading the data and learning a vocabulary do not count, validation between epochs does. The learning rate is laid out
        /// over this time, or over all steps if they end sooner.
        /// </summary>
        public TimeSpan? MaxTime { get; set; }

        /// <summary>Windows of <see cref="ContextLength"/> tokens in a training step, at least 1. Default 32.</summary>
        public int BatchSize { get; set; } = 32;

        /// <summary>Batches whose gradients are averaged for one update, at least 1. Default 1. Capacity, balance losses and the statistics of a batch norm are still those of each batch by itself.</summary>
        public int GradientAccumulation { get; set; } = 1;

        /// <summary>How gradients become updates. Default AdamW. Tables of experts are trained by AdamW whatever this is, and need a learning rate of their own beside another (<see cref="ExpertTableOptions.LearningRate"/> of <see cref="PeerOptions.Tables"/>).</summary>
        public OptimizerKind Optimizer { get; set; }

        /// <summary>Highest learning rate, at least 0. Default 1e-3.</summary>
        public double LearningRate { get; set; } = 1e-3;

        /// <inheritdoc cref="ImageClassificationOptions.FinalLearningRate"/>
        public double FinalLearningRate { get; set; } = 1e-5;

        /// <summary>How the learning rate falls from its highest to its last value. Default: a cosine.</summary>
        public LearningRateDecay LearningRateDecay { get; set; }

        /// <summary>Part of all steps in which the learning rate climbs, 0 to 1. Default 0.05.</summary>
        public double WarmupFraction { get; set; } = 0.05;

        /// <summary>Decoupled weight decay, at least 0; norms, biases and positions do not decay. Default 0.1.</summary>
        public double WeightDecay { get; set; } = 0.1;

        /// <summary>Decay of AdamW's second moment, 0 to below 1. Default 0.99, as usual for language models on batches of few tokens.</summary>
        public double Beta2 { get; set; } = 0.99;

        /// <summary>Limit on the norm of all gradients together, above 0; null for none. Default 1.</summary>
        public double? GradientClipNorm { get; set; } = 1;

        /// <summary>Decay of a moving average of the weights, which then is what the model ends with, 0 to below 1; null (default) for none. Tables of experts are not averaged.</summary>
        public double? EmaDecay { get; set; }

        /// <summary>
        /// Part of the training data, set apart to validate on after every epoch, 0 to below 1: the last part, in tokens, or in characters where the vocabulary is learned, which then sees the
        /// rest alone; a document that goes over the border is cut. Default 0. Without effect where <c>Fit</c> is given validation data.
        /// </summary>
        public double ValidationFraction { get; set; }

        /// <summary>When to stop before the last epoch; null (default) for never. Needs validation. With validation the weights of the best epoch are kept either way.</summary>
        public EarlyStopping? EarlyStopping { get; set; }

        /// <summary>Seed of weights, order and dropout. Null (default): the <see cref="MLContext"/>'s, and without one a new one each time.</summary>
        public int? Seed { get; set; }

        /// <summary>Type of the matrix products. Default: bfloat16 where the device has it in hardware (and on a CPU, the model is at least 256 wide), else float32.</summary>
        public Precision Precision { get; set; }

        /// <summary>Threads of one operation on the CPU, at least 1; null (default) leaves libtorch's setting, one per core. It is that of the thread that calls <c>Fit</c>: trainings at the same time each have their own, and the process keeps its setting.</summary>
        public int? Threads { get; set; }

        /// <summary>Batches made in the background while the model works, at least 1. Default 2.</summary>
        public int LookAhead { get; set; } = 2;

        /// <summary>Rows, and windows of long texts, that are scored in one forward pass, at least 1. Default 32.</summary>
        public int PredictionBatchSize { get; set; } = 32;

        /// <summary>Steps between two progress reports within an epoch, at least 1. Default 50.</summary>
        public int ProgressInterval { get; set; } = 50;

        /// <summary>Called every <see cref="ProgressInterval"/> steps and at the end of every epoch, on the thread that trains; null (default) for no reports. The same appears as text in <see cref="MLContext.Log"/>.</summary>
        public Action<TrainingProgress>? Progress { get; set; }

        /// <summary>Ends training within a step, with an <see cref="OperationCanceledException"/>.</summary>
        public CancellationToken CancellationToken { get; set; }

        /// <inheritdoc cref="ImageClassificationOptions.CheckpointFolder"/>
        public string? CheckpointFolder { get; set; }

        /// <inheritdoc cref="ImageClassificationOptions.CheckpointEverySteps"/>
        public int? CheckpointEverySteps { get; set; }

        /// <inheritdoc cref="ImageClassificationOptions.CheckpointEveryEpochs"/>
        public int? CheckpointEveryEpochs { get; set; } = 1;

        /// <inheritdoc cref="ImageClassificationOptions.CheckpointsKept"/>
        public int CheckpointsKept { get; set; } = 2;

        /// <summary>
        /// Whether <c>Fit</c> goes on where the newest readable checkpoint in <see cref="CheckpointFolder"/> stands; without one it starts from the beginning. Options and texts must be those of the training
        /// that wrote it. On a CPU with the same <see cref="Threads"/> the result is the same, to the bit, as without interruption, unless <see cref="MaxTime"/> ends it. Default false: then a folder with
        /// checkpoints is refused.
        /// </summary>
        public bool Resume { get; set; }

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
                SparseLayer = SparseLayer,
                SparseBlocks = SparseBlocks?.ToArray(),
                Positions = Positions,
                TieEmbeddings = TieEmbeddings,
                Dropout = Dropout,
            };
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

        /// <summary>The options of the training loop.</summary>
        internal TrainingOptions CreateTrainingOptions() => new()
        {
            Epochs = Epochs,
            MaxSteps = MaxSteps,
            MaxTime = MaxTime,
            GradientAccumulation = GradientAccumulation,
            Optimizer = Optimizer,
            LearningRate = LearningRate,
            FinalLearningRate = FinalLearningRate,
            LearningRateDecay = LearningRateDecay,
            WarmupFraction = WarmupFraction,
            WeightDecay = WeightDecay,
            Beta2 = Beta2,
            GradientClipNorm = GradientClipNorm,
            EmaDecay = EmaDecay,
            EarlyStopping = EarlyStopping,
            Monitor = MonitoredQuantity.Loss,
            ProgressInterval = ProgressInterval,
            Checkpoints = ContinuedTraining.CreateOptions(CheckpointFolder, CheckpointEverySteps, CheckpointEveryEpochs, CheckpointsKept, Resume),
        };

        /// <summary>The options that decide how weights change, by name: a training that is continued must have them all as they were.</summary>
        internal IEnumerable<KeyValuePair<string, string>> Describe() => ContinuedTraining.Describe(this, WithoutInfluence);

        /// <summary>A copy that later changes do not reach.</summary>
        internal Options Copy() => (Options)MemberwiseClone();

        /// <summary>Checks all that can be checked before there are data.</summary>
        /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value wanted.</exception>
        internal void Validate()
        {
            CreateColumns().Validate();
            if (Continuation is null || Tokenizer is null)
                throw new ArgumentException($"{(Continuation is null ? nameof(Continuation) : nameof(Tokenizer))} is null; it must be set.");
            Continuation.Validate();
            OptionChecks.AtLeast(1, BatchSize, nameof(BatchSize));
            OptionChecks.AtLeastAndBelow(0, 1, ValidationFraction, nameof(ValidationFraction));
            OptionChecks.AtLeast(1, Threads ?? 1, nameof(Threads));
            OptionChecks.AtLeast(1, LookAhead, nameof(LookAhead));
            OptionChecks.AtLeast(1, PredictionBatchSize, nameof(PredictionBatchSize));
            OptionChecks.Defined(Precision, nameof(Precision));
            ContinuedTraining.RequireFolder(CheckpointFolder, CheckpointEverySteps, CheckpointEveryEpochs, CheckpointsKept, Resume);
            CreateTrainingOptions().Validate();
            _ = CreateConfig(vocabularySize: 2);
            SparseLayer?.TableOptions?.RequireRateBeside(Optimizer);
        }
    }
}
