using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Transforms.Image;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class UniPerceiverGeneralist
{
    /// <summary>What <see cref="UniPerceiverGeneralist"/> learns, from which columns, and how. The defaults are a small model that trains on a CPU.</summary>
    public sealed class Options
    {
        // What is told otherwise (by the tokenizer itself, by the tasks' description, by the data, by the seed), or changes no weight.
        private static readonly HashSet<string> WithoutInfluence =
        [
            nameof(Tasks), nameof(Tokenizer), nameof(Block), nameof(SparseBlocks), nameof(Attributes), nameof(Channels), nameof(ImageHeight), nameof(ImageWidth), nameof(Resizing), nameof(Frames), nameof(InitialModel), nameof(Seed),
            nameof(Threads), nameof(LookAhead), nameof(PredictionBatchSize), nameof(Beams), nameof(PredictedTextLength), nameof(MaskText), nameof(ProgressInterval), nameof(Progress), nameof(CancellationToken),
            nameof(OnCancellation), nameof(CheckpointFolder), nameof(CheckpointEverySteps), nameof(CheckpointEveryEpochs), nameof(CheckpointsKept), nameof(Resume),
        ];

        /// <summary>The tasks, at least one, each with a name of its own.</summary>
        public IReadOnlyList<GeneralistTask> Tasks { get; set; } = [];

        /// <summary>Column with the name of the task that a row is of, a text. Default "Task".</summary>
        public string TaskColumnName { get; set; } = "Task";

        /// <summary>Column with the images, an MLImage or a vector of Single or Byte; read in rows of tasks that have images. Default "Image".</summary>
        public string ImageColumnName { get; set; } = "Image";

        /// <summary>
        /// Column with the videos; read in rows of tasks that have videos. Default "Video". A vector of Single or Byte with the dimensions (frames, height, width, channels), or a text that names a folder
        /// of pictures, whose frames are those pictures in the order of their names, numbers in them by their value: frame2 before frame10.
        /// </summary>
        public string VideoColumnName { get; set; } = "Video";

        /// <summary>Column with the texts that are classified, predicted, or belong to pictures; read in rows of tasks that have texts. Default "Text".</summary>
        public string TextColumnName { get; set; } = "Text";

        /// <summary>Column with the second text of a pair; read in rows of tasks of pairs. Default "SecondText".</summary>
        public string SecondTextColumnName { get; set; } = "SecondText";

        /// <summary>Column with the name of a row's class, a text; read in rows of classifications. Default "Label".</summary>
        public string LabelColumnName { get; set; } = "Label";

        /// <summary>Column that receives the key of the nearest class. Default "PredictedLabel".</summary>
        public string PredictedLabelColumnName { get; set; } = "PredictedLabel";

        /// <summary>Column that receives the probabilities of the classes, a vector of Single. Default "Score".</summary>
        public string ScoreColumnName { get; set; } = "Score";

        /// <summary>Column that receives the representation of what is classified, a vector of Single as long as the model is wide; null (default) for none.</summary>
        public string? EmbeddingColumnName { get; set; }

        /// <summary>Column that receives the representation of a picture for retrieval, a vector of Single as long as the model is wide, of length 1. Default "PictureEmbedding".</summary>
        public string PictureEmbeddingColumnName { get; set; } = "PictureEmbedding";

        /// <summary>Column that receives the representation of a text for retrieval, a vector of Single as long as the model is wide, of length 1. Default "TextEmbedding".</summary>
        public string TextEmbeddingColumnName { get; set; } = "TextEmbedding";

        /// <summary>Column that receives descriptions, continuations, and texts whose masks are filled in. Default "PredictedText".</summary>
        public string PredictedTextColumnName { get; set; } = "PredictedText";

        /// <summary>Channels of an image; null (default) for what the column says.</summary>
        public int? Channels { get; set; }

        /// <summary>Height of images and frames; null (default) for what the column says. Pictures are resized to it.</summary>
        public int? ImageHeight { get; set; }

        /// <summary>Width of images and frames; null (default) for what the column says. Pictures are resized to it.</summary>
        public int? ImageWidth { get; set; }

        /// <summary>How pictures of another size are brought to this one. Default: by stretching.</summary>
        public ImageResizingEstimator.ResizingKind Resizing { get; set; } = ImageResizingEstimator.ResizingKind.Fill;

        /// <summary>Frames of a video; null (default) for what the column says, and of a folder 8, or as many as <see cref="InitialModel"/> takes, which is the most there may be with one.</summary>
        public int? Frames { get; set; }

        /// <summary>What the text's tokens are. Default: byte pairs, at most 1,024.</summary>
        public TokenizerOptions Tokenizer { get; set; } = TokenizerOptions.BytePairs(1024);

        /// <summary>Tokens of a text, its end included, at least 2; in training, and where texts are classified or retrieved, what is beyond is cut off. Default 64.</summary>
        public int TextLength { get; set; } = 64;

        /// <summary>Side of a patch in pixels, which divides both sides of the images. Default 4.</summary>
        public int PatchSize { get; set; } = 4;

        /// <summary>Transformer blocks. Default 4.</summary>
        public int Blocks { get; set; } = 4;

        /// <summary>Widths, heads, experts and what routes. Default: width 64, 4 heads, 8 experts of which attributes choose 2.</summary>
        public ConditionalBlockOptions Block { get; set; } = new() { Width = 64, Heads = 4, FeedForwardWidth = 256, Experts = 8, LayerScale = 0.1 };

        /// <summary>The blocks that have experts; null (default) for every other one from the first on.</summary>
        public BlockPositions? SparseBlocks { get; set; }

        /// <summary>The attributes that tasks may have. Default: those of <see cref="AttributeTable"/>.</summary>
        public IReadOnlyList<string> Attributes { get; set; } = AttributeTable.Names;

        /// <summary>Probability that a sequence leaves out a branch of the last block while training. Default 0.</summary>
        public double DropPath { get; set; }

        /// <summary>
        /// A model that was trained before, all of whose weights learn on: a <see cref="GeneralistTransformer"/>, or a pipeline with one in it, such as <c>mlContext.Model.Load</c> returns. Null (default):
        /// from random weights. It is not changed.
        /// </summary>
        /// <remarks>
        /// <para>Its tokenizer, the sizes of its texts and images, its attributes and its architecture stay: <see cref="Tokenizer"/>, <see cref="TextLength"/>, <see cref="PatchSize"/>, <see cref="Blocks"/>,
        /// <see cref="Block"/>, <see cref="SparseBlocks"/>, <see cref="Attributes"/>, <see cref="Channels"/>, <see cref="ImageHeight"/> and <see cref="ImageWidth"/> are left out, or say what it has. What acts
        /// while training only may differ, and names of columns and all that is said about prediction are those of these options.</para>
        /// <para><see cref="Tasks"/> may be its tasks or others, for which the model knows attributes and has learned images or videos; where experts are chosen by task, only its own. It still knows how to do
        /// tasks that are not trained again (<see cref="GeneralistTransformer.ForTask(GeneralistTask)"/>), the worse the longer it learns others.</para>
        /// <para>The normalisation of the pixels stays the earlier model's, so the columns must hold them in the same units; a warning says where its mean or deviation is far off.</para>
        /// <para>A model with prompts (<see cref="GeneralistTransformer.TunePrompts"/>) is refused.</para>
        /// </remarks>
        public ITransformer? InitialModel { get; set; }

        /// <summary>Passes over the training data, at least 1; tasks that are drawn more often than they have rows repeat them. Default 10.</summary>
        public int Epochs { get; set; } = 10;

        /// <summary>Steps after which training ends, even within an epoch, at least 1; null (default) for no such limit. The learning rate is laid out over these steps, or over all epochs if they have fewer.</summary>
        public int? MaxSteps { get; set; }

        /// <summary>Time after which training ends, above 0; null (default) for none. The learning rate is laid out over this time, or over all steps if they end sooner.</summary>
        public TimeSpan? MaxTime { get; set; }

        /// <summary>Examples of a batch, all of one task, at least 1. Default 32.</summary>
        public int BatchSize { get; set; } = 32;

        /// <summary>Batches whose gradients are averaged for one update, at least 1. Default 1: an update is of one task; with more it mixes tasks.</summary>
        public int GradientAccumulation { get; set; } = 1;

        /// <summary>The optimizer. Default: AdamW.</summary>
        public OptimizerKind Optimizer { get; set; }

        /// <summary>Highest learning rate, at least 0. Default 1e-3.</summary>
        public double LearningRate { get; set; } = 1e-3;

        /// <summary>Learning rate of the last step, at least 0. Default 1e-5. Without effect where the rate is constant.</summary>
        public double FinalLearningRate { get; set; } = 1e-5;

        /// <summary>How the learning rate falls from its highest to its last value. Default: a cosine.</summary>
        public LearningRateDecay LearningRateDecay { get; set; }

        /// <summary>Part of all steps in which the learning rate climbs, 0 to 1. Default 0.05.</summary>
        public double WarmupFraction { get; set; } = 0.05;

        /// <summary>Weight decay of matrices, at least 0. Default 0.05.</summary>
        public double WeightDecay { get; set; } = 0.05;

        /// <summary>Limit on the norm of all gradients together, above 0; null for none. Default 1.</summary>
        public double? GradientClipNorm { get; set; } = 1;

        /// <summary>Decay of a moving average of the weights, which then is what the model ends with, 0 to below 1; null (default) for none.</summary>
        public double? EmaDecay { get; set; }

        /// <summary>The part of the target that is spread evenly over all candidates, 0 to below 1, where no tokens are predicted. Default 0.</summary>
        public double LabelSmoothing { get; set; }

        /// <summary>What the balance losses of token and context routers are multiplied by, at least 0. Default 0.01.</summary>
        public double BalanceWeight { get; set; } = 0.01;

        /// <summary>Part of a text's tokens that are masked for a masked language model, above 0 to 1; at least one is. Default 0.15.</summary>
        public double MaskedFraction { get; set; } = 0.15;

        /// <summary>When to stop before the last epoch; null (default) for never. Needs validation. With validation the weights of the best epoch are kept either way.</summary>
        public EarlyStopping? EarlyStopping { get; set; }

        /// <summary>Rows that are scored together, at least 1. Default 64.</summary>
        public int PredictionBatchSize { get; set; } = 64;

        /// <summary>Beginnings that are kept while a description or a continuation is written, at least 1. Default 1: the most probable token each time.</summary>
        public int Beams { get; set; } = 1;

        /// <summary>Tokens of a description or a continuation at most, at least 1. Default 24. A description has never more than <see cref="TextLength"/>; a continuation may: the model then goes on from the end.</summary>
        public int PredictedTextLength { get; set; } = 24;

        /// <summary>What stands in a text for a token that a masked language model shall find, not empty. Default "[MASK]".</summary>
        public string MaskText { get; set; } = "[MASK]";

        /// <summary>Seed of weights, order and masks; null (default) for that of the context, and without one a new one each time.</summary>
        public int? Seed { get; set; }

        /// <summary>Threads of one operation on the CPU, at least 1; null (default) leaves libtorch's setting. It is that of the thread that calls <c>Fit</c>: trainings at the same time each have their own, and the process keeps its setting.</summary>
        public int? Threads { get; set; }

        /// <summary>Batches made in the background while the model works, at least 1. Default 2.</summary>
        public int LookAhead { get; set; } = 2;

        /// <summary>Steps between two progress reports within an epoch, at least 1. Default 50.</summary>
        public int ProgressInterval { get; set; } = 50;

        /// <summary>Called every <see cref="ProgressInterval"/> steps and at the end of every epoch, on the thread that trains; null (default) for no reports. The same appears as text in <see cref="MLContext.Log"/>.</summary>
        public Action<TrainingProgress>? Progress { get; set; }

        /// <summary>Ends training within a step, as <see cref="OnCancellation"/> says.</summary>
        public CancellationToken CancellationToken { get; set; }

        /// <summary>What happens when training is cancelled. Default: it throws an <see cref="OperationCanceledException"/>.</summary>
        public CancellationBehavior OnCancellation { get; set; }

        /// <inheritdoc cref="ImageClassificationOptions.CheckpointFolder"/>
        public string? CheckpointFolder { get; set; }

        /// <inheritdoc cref="ImageClassificationOptions.CheckpointEverySteps"/>
        public int? CheckpointEverySteps { get; set; }

        /// <inheritdoc cref="ImageClassificationOptions.CheckpointEveryEpochs"/>
        public int? CheckpointEveryEpochs { get; set; } = 1;

        /// <inheritdoc cref="ImageClassificationOptions.CheckpointsKept"/>
        public int CheckpointsKept { get; set; } = 2;

        /// <summary>
        /// Whether <c>Fit</c> goes on where the newest readable checkpoint in <see cref="CheckpointFolder"/> stands; without one it starts from the beginning. Options and data must be those of the training
        /// that wrote it. On a CPU with the same <see cref="Threads"/> the result is the same, to the bit, as without interruption, unless <see cref="MaxTime"/> ends it. Default false: then a folder with
        /// checkpoints is refused.
        /// </summary>
        public bool Resume { get; set; }

        /// <summary>The model to start from; null for random weights.</summary>
        /// <exception cref="ArgumentException"><see cref="InitialModel"/> has no generalist in it, or several.</exception>
        internal GeneralistStartingPoint? StartingPoint => InitialModel is null ? null : GeneralistStartingPoint.Find(InitialModel);

        /// <summary>A copy that later changes do not reach, in which all that <see cref="InitialModel"/> decides is as it is there.</summary>
        internal Options Adopt()
        {
            var copy = (Options)MemberwiseClone();
            (copy.Tasks, copy.Attributes) = ([.. Tasks], [.. Attributes]);
            if (StartingPoint is { } start)
            {
                var config = start.Config;
                (copy.TextLength, copy.PatchSize, copy.Blocks) = (config.TextLength, config.PatchSize, config.Blocks);
                (copy.Block, copy.SparseBlocks, copy.Attributes) = (config.Block, config.SparseBlocks, config.Attributes);
                if (start.Shape is { } shape)
                    (copy.Channels, copy.ImageHeight, copy.ImageWidth) = (shape.Channels, shape.Height, shape.Width);
            }
            return copy;
        }

        /// <summary>The model's configuration for what the data have, checked.</summary>
        internal GeneralistConfig CreateConfig(int vocabularySize, ImageShape? images, int frames)
        {
            var config = StartingPoint is { } start ? start.Config with { DropPath = DropPath } : new GeneralistConfig
            {
                VocabularySize = vocabularySize,
                TextLength = TextLength,
                Channels = images?.Channels ?? 1,
                ImageHeight = images?.Height ?? PatchSize,
                ImageWidth = images?.Width ?? PatchSize,
                PatchSize = PatchSize,
                Frames = frames,
                Blocks = Blocks,
                Block = Block,
                SparseBlocks = SparseBlocks,
                Attributes = [.. Attributes],
                Tasks = [.. Tasks.Select(task => task.Name)],
                DropPath = DropPath,
            };
            config.Validate();
            return config;
        }

        /// <summary>The columns that are read and added.</summary>
        internal GeneralistColumns CreateColumns() => new()
        {
            Image = ImageColumnName,
            Video = VideoColumnName,
            Text = TextColumnName,
            SecondText = SecondTextColumnName,
            Label = LabelColumnName,
            PredictedLabel = PredictedLabelColumnName,
            Score = ScoreColumnName,
            Embedding = EmbeddingColumnName,
            PictureEmbedding = PictureEmbeddingColumnName,
            TextEmbedding = TextEmbeddingColumnName,
            PredictedText = PredictedTextColumnName,
        };

        /// <summary>How the model predicts.</summary>
        internal GeneralistPrediction CreatePrediction() => new()
        {
            BatchSize = PredictionBatchSize,
            Beams = Beams,
            MostTokens = PredictedTextLength,
            Mask = MaskText,
            MaskedFraction = MaskedFraction,
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
            GradientClipNorm = GradientClipNorm,
            EmaDecay = EmaDecay,
            EarlyStopping = EarlyStopping,
            Monitor = MonitoredQuantity.Loss,
            OnCancellation = OnCancellation,
            ProgressInterval = ProgressInterval,
            Checkpoints = ContinuedTraining.CreateOptions(CheckpointFolder, CheckpointEverySteps, CheckpointEveryEpochs, CheckpointsKept, Resume),
        };

        /// <summary>The options that decide how weights change, by name: a training that is continued must have them all as they were.</summary>
        internal IEnumerable<KeyValuePair<string, string>> Describe() => ContinuedTraining.Describe(this, WithoutInfluence);

        /// <summary>Checks all that can be checked before there are data.</summary>
        /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value wanted.</exception>
        internal void Validate()
        {
            foreach (var (name, value) in new[]
            {
                (nameof(TaskColumnName), TaskColumnName), (nameof(ImageColumnName), ImageColumnName), (nameof(VideoColumnName), VideoColumnName), (nameof(TextColumnName), TextColumnName),
                (nameof(SecondTextColumnName), SecondTextColumnName), (nameof(LabelColumnName), LabelColumnName), (nameof(PredictedLabelColumnName), PredictedLabelColumnName),
                (nameof(ScoreColumnName), ScoreColumnName), (nameof(PictureEmbeddingColumnName), PictureEmbeddingColumnName), (nameof(TextEmbeddingColumnName), TextEmbeddingColumnName),
                (nameof(PredictedTextColumnName), PredictedTextColumnName),
            })
            {
                if (string.IsNullOrWhiteSpace(value))
                    throw new ArgumentException($"{name} is '{value}'; it must be the name of a column.");
            }
            if (Tasks is null || Tasks.Count == 0)
                throw new ArgumentException($"{nameof(Tasks)} is empty; at least one task is wanted.");
            if (Tokenizer is null || Block is null || Attributes is null)
                throw new ArgumentException($"{(Tokenizer is null ? nameof(Tokenizer) : Block is null ? nameof(Block) : nameof(Attributes))} is null; it must be set.");
            foreach (var task in Tasks)
                task.Validate();
            if (Tasks.GroupBy(task => task.Name).FirstOrDefault(group => group.Count() > 1) is { Key: var twice })
                throw new ArgumentException($"Two of the {nameof(Tasks)} are called '{twice}'; each must have a name of its own.");
            StartingPoint?.RequireAgreement(this);
            Adopt().ValidateValues();
        }

        private void ValidateValues()
        {
            if (Tasks.SelectMany(task => task.Roles).SelectMany(role => role.Attributes.Select(attribute => (role.Task, Attribute: attribute))).FirstOrDefault(pair => !Attributes.Contains(pair.Attribute)) is { Task: { } of, Attribute: { } unknown })
                throw new ArgumentException($"Task '{of}' has the attribute '{unknown}', which {nameof(Attributes)} [{string.Join(", ", Attributes)}] lack.");
            OptionChecks.AtLeast(2, TextLength, nameof(TextLength));
            OptionChecks.AtLeast(1, BatchSize, nameof(BatchSize));
            OptionChecks.AtLeast(1, LookAhead, nameof(LookAhead));
            OptionChecks.AtLeast(1, Threads ?? 1, nameof(Threads));
            OptionChecks.AtLeast(1, Frames ?? 1, nameof(Frames));
            OptionChecks.AtLeastAndBelow(0, 1, LabelSmoothing, nameof(LabelSmoothing));
            OptionChecks.AtLeast(0, BalanceWeight, nameof(BalanceWeight));
            CreatePrediction().Validate();
            ContinuedTraining.RequireFolder(CheckpointFolder, CheckpointEverySteps, CheckpointEveryEpochs, CheckpointsKept, Resume);
            CreateTrainingOptions().Validate();
            _ = CreateConfig(vocabularySize: 2, images: null, frames: 1);
        }
    }
}
