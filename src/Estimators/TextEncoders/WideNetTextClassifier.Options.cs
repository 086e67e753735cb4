using Microsoft.ML.MoE.Interchange;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class WideNetTextClassifier
{
    /// <summary>Options of <see cref="WideNetTextClassifier"/>.</summary>
    public sealed class Options : TrainerOptions
    {
        private const int FewestTokens = 5;   // a pair of one token each, begin and ends

        // Trains on a CPU in minutes.
        private static readonly TextEncoderConfig Small = TextEncoderConfig.WideNetBase with
        {
            EmbeddingWidth = 64,
            Width = 128,
            Heads = 4,
            Blocks = 4,
            ExpertWidth = 256,
            MaxTokens = 256,
        };

        /// <summary>Column with the label, a key (<c>MapValueToKey</c>). Rows without a label are left out. Default "Label".</summary>
        public string LabelColumnName { get; set; } = "Label";

        /// <summary>Column with the texts. Rows without text are left out of the training. Default "Text".</summary>
        public string TextColumnName { get; set; } = "Text";

        /// <summary>
        /// Column with the second text of a pair, which the encoder reads as another segment; null (default) where there are no pairs.
        /// </summary>
        public string? SecondTextColumnName { get; set; }

        /// <summary>Column that receives the class probabilities, a vector of Single. Default "Score".</summary>
        public string ScoreColumnName { get; set; } = "Score";

        /// <summary>Column that receives the most probable class, a key like the label. Default "PredictedLabel".</summary>
        public string PredictedLabelColumnName { get; set; } = "PredictedLabel";

        /// <summary>
        /// What the network looks like, for example <c>TextEncoderConfig.WideNetBase with { Blocks = 6 }</c>: with or without experts, with
        /// one block for all depth or a block for each. Null (default): that of <see cref="PretrainedWeights"/>, without them a WideNet of
        /// 4 blocks of width 128 and 4 experts. Its vocabulary is not taken over: the tokenizer decides.
        /// </summary>
        [OutsideIdentity("the model's configuration is in it")]
        public TextEncoderConfig? Architecture { get; set; }

        /// <summary>
        /// A BERT or an ALBERT that was trained before, with a <c>vocab.txt</c> in its folder
        /// (<see cref="Interchange.PretrainedWeights.FromFolder"/>). Null (default): from random weights, with word pieces learned from the
        /// training texts.
        /// </summary>
        [OutsideIdentity("the hash of the weights is in it")]
        public PretrainedWeights? PretrainedWeights { get; set; }

        /// <summary>
        /// A classifier of texts that was trained before, to go on from with its tokenizer: a
        /// <see cref="TextClassificationTransformer"/>, or a pipeline with one in it, such as <c>mlContext.Model.Load</c> returns. Null
        /// (default): none. It is not changed. Classes are told by their values: where the training data have the same, the layer that
        /// reads them goes on too; else it starts anew. Not together with <see cref="PretrainedWeights"/>.
        /// </summary>
        [OutsideIdentity("the hash of its weights is in it")]
        public ITransformer? InitialModel { get; set; }

        /// <summary>
        /// Where an <see cref="Architecture"/> with experts grows out of a dense <see cref="PretrainedWeights"/> or
        /// <see cref="InitialModel"/>: how much its experts differ from the dense layer that each begins as. Standard deviation of what is
        /// added to every weight, as a multiple of the deviation of the layer's weights, at least 0. Default 0: the routers alone tell them
        /// apart, and training does (arXiv 2212.05055).
        /// </summary>
        public double ExpertNoise { get; set; }

        /// <summary>
        /// Parts that stay as they are in <see cref="InitialModel"/> or <see cref="PretrainedWeights"/>, of which one must be set then.
        /// Default: none.
        /// </summary>
        public ModelParts Frozen { get; set; }

        /// <summary>
        /// The most word pieces that are learned where there are no <see cref="PretrainedWeights"/>, at least 100; every character that
        /// occurs is one in any case. Default 8,000.
        /// </summary>
        public int VocabularySize { get; set; } = 8000;

        /// <summary>
        /// Tokens of a text, or a pair, that are read at most, begin and end included, at least 5 and at most what the network can read;
        /// what comes after is left out. Null (default): as many as the network can read.
        /// </summary>
        public int? MaxTokens { get; set; }

        /// <summary>The model to start from; null for none.</summary>
        /// <exception cref="ArgumentException"><see cref="InitialModel"/> has no classifier of texts in it, or several.</exception>
        internal TextStartingPoint? StartingPoint => InitialModel is null ? null : TextStartingPoint.Find(InitialModel);

        /// <summary>The encoder for a vocabulary, checked.</summary>
        internal TextEncoderConfig CreateConfig(int vocabularySize)
        {
            var config = Architecture ?? PretrainedWeights?.TextEncoder ?? StartingPoint?.Config ?? Small;
            config = config with { Pooler = false, BalanceLossWeight = BalanceLossWeight ?? config.BalanceLossWeight };
            config = config with
            {
                VocabularySize = (PretrainedWeights?.TextEncoder ?? StartingPoint?.Config)?.VocabularySize ?? vocabularySize,
            };
            config.Validate();
            if (config.MaxTokens < Math.Max(MaxTokens ?? 0, FewestTokens))
                throw new ArgumentException(
                    $"{nameof(MaxTokens)} is {MaxTokens?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "null"}, but the "
                        + $"network reads {config.MaxTokens}; it must be at most that, which must be at least {FewestTokens}.");
            if (SecondTextColumnName is not null && config.Segments < 2)
                throw new ArgumentException(
                    $"{nameof(SecondTextColumnName)} is '{SecondTextColumnName}', but the network knows {config.Segments} segment; for "
                        + "pairs it must know 2.");
            return config;
        }

        /// <summary>Those of classifiers of texts first.</summary>
        internal override IEnumerable<RecipeStep> Recipe
        {
            get
            {
                if (PretrainedWeights is not null || InitialModel is not null)
                {
                    const string Tuning = "usual for an encoder that was trained before";
                    yield return new(nameof(Epochs), 3, Tuning);
                    yield return new(nameof(BatchSize), 16, Tuning);
                    yield return new(nameof(LearningRate), 1e-4, Tuning);
                    yield return new(nameof(FinalLearningRate), 0.0, Tuning);
                    if (WarmupSteps is null)
                        yield return new(nameof(WarmupFraction), 0.1, Tuning);
                    yield return new(nameof(WeightDecay), 0.01, Tuning);
                }
                foreach (var step in base.Recipe)
                    yield return step;
            }
        }

        /// <summary>A copy that later changes do not reach.</summary>
        internal override Options Copy() => (Options)base.Copy();

        /// <summary>Checks all that can be checked before there are data.</summary>
        /// <inheritdoc/>
        internal override void Validate()
        {
            base.Validate();
            (string? Name, string Option)[] added =
            [
                (ScoreColumnName, nameof(ScoreColumnName)), (PredictedLabelColumnName, nameof(PredictedLabelColumnName)),
                (EmbeddingColumnName, nameof(EmbeddingColumnName)),
            ];
            (string? Name, string Option)[] read =
            [
                (LabelColumnName, nameof(LabelColumnName)), (TextColumnName, nameof(TextColumnName)),
                (SecondTextColumnName, nameof(SecondTextColumnName)),
            ];
            foreach (var (name, option) in added.Concat(read))
            {
                var mayBeNull = option is nameof(EmbeddingColumnName) or nameof(SecondTextColumnName);
                if (name is null ? !mayBeNull : string.IsNullOrWhiteSpace(name))
                    throw new ArgumentException($"{option} is empty; it must name a column.");
            }
            if (added.Where(column => column.Name is not null).GroupBy(column => column.Name).FirstOrDefault(group => group.Count() > 1)
                is { } twice)
                throw new ArgumentException(
                    $"{string.Join(" and ", twice.Select(column => column.Option))} are both '{twice.Key}'; they must differ.");
            OptionChecks.AtLeast(0, ExpertNoise, nameof(ExpertNoise));
            OptionChecks.AtLeast(100, VocabularySize, nameof(VocabularySize));
            OptionChecks.AtLeast(FewestTokens, MaxTokens ?? FewestTokens, nameof(MaxTokens));
            Refuse(LayerDecay != 1, nameof(LayerDecay), LayerDecay, "all layers of a text encoder learn alike");
            if (PretrainedWeights is not null && InitialModel is not null)
                throw new ArgumentException(
                    $"{nameof(PretrainedWeights)} and {nameof(InitialModel)} are both set; a training starts from one of them.");
            var start = PretrainedWeights?.RequireTextEncoder(nameof(PretrainedWeights)) ?? StartingPoint?.Config;
            if (start is not null && Architecture is { } architecture)
                RequireGrowth(architecture, start);
            ValidateFrozen();
            _ = CreateConfig(vocabularySize: 2);
        }

        private void ValidateFrozen()
        {
            const ModelParts All = ModelParts.Backbone | ModelParts.Head;
            if ((Frozen & ~All) != 0 || Frozen == All)
                throw new ArgumentException(
                    $"{nameof(Frozen)} is {Frozen}; it must be made of {nameof(ModelParts.Embedding)}, {nameof(ModelParts.Blocks)} and "
                        + $"{nameof(ModelParts.Head)}, and not of all of them.");
            if (Frozen != ModelParts.None && InitialModel is null && PretrainedWeights is null)
                throw new ArgumentException(
                    $"{nameof(Frozen)} is {Frozen}, but neither {nameof(InitialModel)} nor {nameof(PretrainedWeights)} is set; random "
                        + "weights would stay as they are.");
            if (Frozen.HasFlag(ModelParts.Head) && InitialModel is null)
                throw new ArgumentException(
                    $"{nameof(Frozen)} is {Frozen}, but {nameof(PretrainedWeights)} have no head for the classes; leave "
                        + $"{nameof(ModelParts.Head)} out.");
        }

        private static void RequireGrowth(TextEncoderConfig architecture, TextEncoderConfig start)
        {
            if (!architecture.CanGrowOutOf(start))
                throw new ArgumentException(
                    $"{nameof(Architecture)} is another network than the one to start from, which has {start.Blocks} blocks of width "
                        + $"{start.Width}; only what acts while training may differ, or the dense layers, of width "
                        + $"{start.FeedForwardWidth}, may become experts. Leave {nameof(Architecture)} out.");
        }
    }
}
