using System.Globalization;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Transforms.Image;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class UniPerceiverGeneralist
{
    /// <summary>
    /// What <see cref="UniPerceiverGeneralist"/> learns, from which columns, and how. The defaults are a small model that trains on a CPU.
    /// </summary>
    public sealed class Options : TrainerOptions
    {
        /// <summary>A small model that trains on a CPU.</summary>
        public Options() => Monitor = MonitoredQuantity.Loss;

        /// <summary>
        /// What the network looks like, for example <c>GeneralistConfig.Small with { TextLength = 128 }</c>. Null (default): that of
        /// <see cref="InitialModel"/>, without one <see cref="GeneralistConfig.Small"/>, which trains on a CPU. Its vocabulary, tasks,
        /// frames, and images' size, channels and patches are not taken over: the options and the data say them.
        /// </summary>
        [OutsideIdentity("the model's configuration is in it")]
        public GeneralistConfig? Architecture { get; set; }

        /// <summary>The tasks, at least one, each with a name of its own.</summary>
        [OutsideIdentity("their description is in it")]
        public IReadOnlyList<GeneralistTask> Tasks { get; set; } = [];

        /// <summary>Column with the name of the task that a row is of, a text. Default "Task".</summary>
        public string TaskColumnName { get; set; } = "Task";

        /// <summary>
        /// Column with the images, an MLImage or a vector of Single or Byte; read in rows of tasks that have images. Default "Image".
        /// </summary>
        public string ImageColumnName { get; set; } = "Image";

        /// <summary>
        /// Column with the videos; read in rows of tasks that have videos. Default "Video". A vector of Single or Byte with the dimensions
        /// (frames, height, width, channels), or a text that names a folder of pictures, whose frames are those pictures in the order of
        /// their names, numbers in them by their value: frame2 before frame10.
        /// </summary>
        public string VideoColumnName { get; set; } = "Video";

        /// <summary>
        /// Column with the texts that are classified, predicted, or belong to pictures; read in rows of tasks that have texts. Default
        /// "Text".
        /// </summary>
        public string TextColumnName { get; set; } = "Text";

        /// <summary>Column with the second text of a pair; read in rows of tasks of pairs. Default "SecondText".</summary>
        public string SecondTextColumnName { get; set; } = "SecondText";

        /// <summary>Column with the name of a row's class, a text; read in rows of classifications. Default "Label".</summary>
        public string LabelColumnName { get; set; } = "Label";

        /// <summary>Column that receives the key of the nearest class. Default "PredictedLabel".</summary>
        public string PredictedLabelColumnName { get; set; } = "PredictedLabel";

        /// <summary>Column that receives the probabilities of the classes, a vector of Single. Default "Score".</summary>
        public string ScoreColumnName { get; set; } = "Score";

        /// <summary>
        /// Column that receives the representation of a picture for retrieval, a vector of Single as long as the model is wide, of length
        /// 1. Default "PictureEmbedding".
        /// </summary>
        public string PictureEmbeddingColumnName { get; set; } = "PictureEmbedding";

        /// <summary>
        /// Column that receives the representation of a text for retrieval, a vector of Single as long as the model is wide, of length 1.
        /// Default "TextEmbedding".
        /// </summary>
        public string TextEmbeddingColumnName { get; set; } = "TextEmbedding";

        /// <summary>
        /// Column that receives descriptions, continuations, and texts whose masks are filled in. Default "PredictedText".
        /// </summary>
        public string PredictedTextColumnName { get; set; } = "PredictedText";

        /// <summary>Channels of an image; null (default) for what the column says.</summary>
        [OutsideIdentity("the model's are in it")]
        public int? Channels { get; set; }

        /// <summary>Height of images and frames; null (default) for what the column says. Pictures are resized to it.</summary>
        [OutsideIdentity("the model's is in it")]
        public int? ImageHeight { get; set; }

        /// <summary>Width of images and frames; null (default) for what the column says. Pictures are resized to it.</summary>
        [OutsideIdentity("the model's is in it")]
        public int? ImageWidth { get; set; }

        /// <summary>
        /// Side of a square patch in pixels, which divides both sides of the images. Null (default): that of <see cref="InitialModel"/>,
        /// without one the largest divisor that gives at least 7 patches a side, at most 16.
        /// </summary>
        [OutsideIdentity("the model's is in it")]
        public int? PatchSize { get; set; }

        /// <summary>How pictures of another size are brought to this one. Default: by stretching.</summary>
        [OutsideIdentity("the pictures are in it")]
        public ImageResizingEstimator.ResizingKind Resizing { get; set; } = ImageResizingEstimator.ResizingKind.Fill;

        /// <summary>
        /// Frames of a video; null (default) for what the column says, and of a folder 8, or as many as <see cref="InitialModel"/> takes,
        /// which is the most there may be with one.
        /// </summary>
        [OutsideIdentity("the model's are in it")]
        public int? Frames { get; set; }

        /// <summary>What the text's tokens are. Default: byte pairs, at most 1,024.</summary>
        [OutsideIdentity("the tokenizer itself is in it")]
        public TokenizerOptions Tokenizer { get; set; } = TokenizerOptions.BytePairs(1024);

        /// <summary>
        /// A model that was trained before, all of whose weights learn on: a <see cref="GeneralistTransformer"/>, or a pipeline with one in
        /// it, such as <c>mlContext.Model.Load</c> returns. Null (default): from random weights. It is not changed.
        /// </summary>
        /// <remarks>
        /// <para>Its tokenizer, the sizes of its texts and images, its attributes and its architecture stay: <see cref="Tokenizer"/>,
        /// <see cref="Architecture"/>, <see cref="PatchSize"/>, <see cref="Channels"/>, <see cref="ImageHeight"/> and
        /// <see cref="ImageWidth"/> are left out, or say what it has. What acts while training only may differ, and names of columns and
        /// all that is said about prediction are those of these options.</para>
        /// <para><see cref="Tasks"/> may be its tasks or others, for which the model knows attributes and has learned images or videos;
        /// where experts are chosen by task, only its own. It still knows how to do tasks that are not trained again
        /// (<see cref="GeneralistTransformer.ForTask(GeneralistTask)"/>), the worse the longer it learns others.</para>
        /// <para>The normalisation of the pixels stays the earlier model's, so the columns must hold them in the same units; a warning says
        /// where its mean or deviation is far off.</para>
        /// <para>A model with prompts (<see cref="GeneralistTransformer.TunePrompts"/>) is refused.</para>
        /// </remarks>
        [OutsideIdentity("the hash of its weights is in it")]
        public ITransformer? InitialModel { get; set; }

        /// <summary>
        /// Part of a text's tokens that are masked for a masked language model, above 0 to 1; at least one is. Default 0.15.
        /// </summary>
        public double MaskedFraction { get; set; } = 0.15;

        /// <summary>
        /// Beginnings that are kept while a description or a continuation is written, at least 1. Default 1: the most probable token each
        /// time.
        /// </summary>
        [OutsideIdentity("it is for scoring")]
        public int Beams { get; set; } = 1;

        /// <summary>
        /// Tokens of a description or a continuation at most, at least 1. Default 24. A description has never more than
        /// <see cref="GeneralistConfig.TextLength"/>; a continuation may: the model then goes on from the end.
        /// </summary>
        [OutsideIdentity("it is for scoring")]
        public int PredictedTextLength { get; set; } = 24;

        /// <summary>What stands in a text for a token that a masked language model shall find, not empty. Default "[MASK]".</summary>
        [OutsideIdentity("it is for scoring")]
        public string MaskText { get; set; } = "[MASK]";

        /// <summary>The model to start from; null for random weights.</summary>
        /// <exception cref="ArgumentException"><see cref="InitialModel"/> has no generalist in it, or several.</exception>
        internal GeneralistStartingPoint? StartingPoint => InitialModel is null ? null : GeneralistStartingPoint.Find(InitialModel);

        /// <summary>The architecture, but for what the data decide.</summary>
        internal GeneralistConfig UsedArchitecture => StartingPoint is { } start
            ? start.Config with { DropPath = Architecture?.DropPath ?? start.Config.DropPath }
            : Architecture ?? GeneralistConfig.Small;

        /// <summary>What was chosen for the model because nobody gave it.</summary>
        internal IEnumerable<ChosenOption> ChosenOfTheModel(GeneralistConfig config)
        {
            const string OfInitialModel = $"that of {nameof(InitialModel)}";
            if (Architecture is null)
                yield return new(
                    nameof(Architecture),
                    nameof(Generalist),
                    InitialModel is null ? "a size that trains on a CPU in minutes" : OfInitialModel);
            if (PatchSize is null && Tasks.Any(task => task.Kind.InputModality() != TokenModality.Text))
            {
                yield return new(
                    nameof(PatchSize), config.PatchSize.ToString(CultureInfo.InvariantCulture),
                    InitialModel is null ? $"it suits images of {config.ImageWidth}×{config.ImageHeight}" : OfInitialModel);
            }
        }

        /// <summary>A copy that later changes do not reach, in which the images are as <see cref="InitialModel"/> has them.</summary>
        internal Options Adopt()
        {
            var copy = (Options)Copy();
            copy.Tasks = [.. Tasks];
            if (StartingPoint?.Shape is { } shape)
                (copy.Channels, copy.ImageHeight, copy.ImageWidth) = (shape.Channels, shape.Height, shape.Width);
            return copy;
        }

        /// <summary>The model's configuration for what the data have, checked.</summary>
        internal GeneralistConfig CreateConfig(int vocabularySize, ImageShape? images, int frames)
        {
            var config = UsedArchitecture;
            if (StartingPoint is null)
            {
                var patch = PatchSize ?? (images is { } pictures ? PatchSizes.Choose(pictures.Height, pictures.Width) : config.PatchSize);
                config = config with
                {
                    VocabularySize = vocabularySize,
                    Channels = images?.Channels ?? 1,
                    ImageHeight = images?.Height ?? patch,
                    ImageWidth = images?.Width ?? patch,
                    PatchSize = patch,
                    Frames = frames,
                    Tasks = [.. Tasks.Select(task => task.Name)],
                };
            }
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

        /// <summary>Checks all that can be checked before there are data.</summary>
        /// <inheritdoc/>
        internal override void Validate()
        {
            base.Validate();
            Refuse(Precision == Precision.BFloat16, nameof(Precision), Precision, "a generalist computes in float32");
            Refuse(LayerDecay != 1, nameof(LayerDecay), LayerDecay, "a generalist does not tell its layers apart");
            (string Name, string Value)[] columns =
            [
                (nameof(TaskColumnName), TaskColumnName),
                (nameof(ImageColumnName), ImageColumnName),
                (nameof(VideoColumnName), VideoColumnName),
                (nameof(TextColumnName), TextColumnName),
                (nameof(SecondTextColumnName), SecondTextColumnName),
                (nameof(LabelColumnName), LabelColumnName),
                (nameof(PredictedLabelColumnName), PredictedLabelColumnName),
                (nameof(ScoreColumnName), ScoreColumnName),
                (nameof(PictureEmbeddingColumnName), PictureEmbeddingColumnName),
                (nameof(TextEmbeddingColumnName), TextEmbeddingColumnName),
                (nameof(PredictedTextColumnName), PredictedTextColumnName),
            ];
            foreach (var (name, value) in columns)
            {
                if (string.IsNullOrWhiteSpace(value))
                    throw new ArgumentException($"{name} is '{value}'; it must be the name of a column.");
            }
            if (Tasks is null || Tasks.Count == 0)
                throw new ArgumentException($"{nameof(Tasks)} is empty; at least one task is wanted.");
            if (Tokenizer is null)
                throw new ArgumentException($"{nameof(Tokenizer)} is null; it must be set.");
            foreach (var task in Tasks)
                task.Validate();
            if (Tasks.GroupBy(task => task.Name).FirstOrDefault(group => group.Count() > 1) is { Key: var twice })
                throw new ArgumentException($"Two of the {nameof(Tasks)} are called '{twice}'; each must have a name of its own.");
            StartingPoint?.RequireAgreement(this);
            Adopt().ValidateValues();
        }

        private void ValidateValues()
        {
            var attributes = UsedArchitecture.Attributes;
            var wanted = Tasks
                .SelectMany(task => task.Roles)
                .SelectMany(role => role.Attributes.Select(attribute => (role.Task, Attribute: attribute)));
            if (wanted.FirstOrDefault(pair => !attributes.Contains(pair.Attribute)) is { Task: { } of, Attribute: { } unknown })
                throw new ArgumentException(
                    $"Task '{of}' has the attribute '{unknown}', which {nameof(GeneralistConfig.Attributes)} "
                        + $"[{string.Join(", ", attributes)}] lack.");
            OptionChecks.AtLeast(2, UsedArchitecture.TextLength, nameof(GeneralistConfig.TextLength));
            OptionChecks.AtLeast(1, Frames ?? 1, nameof(Frames));
            CreatePrediction().Validate();
            _ = CreateConfig(vocabularySize: 2, images: null, frames: 1);
        }
    }
}
