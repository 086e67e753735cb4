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
        /// The most word pieces that are learned where there are no <see cref="PretrainedWeights"/>, at least 100; every character that
        /// occurs is one in any case. Default 8,000.
        /// </summary>
        public int VocabularySize { get; set; } = 8000;

        /// <summary>
        /// Tokens of a text, or a pair, that are read at most, begin and end included, at least 5 and at most what the network can read;
        /// what comes after is left out. Null (default): as many as the network can read.
        /// </summary>
        public int? MaxTokens { get; set; }

        /// <summary>The encoder for a vocabulary, checked.</summary>
        internal TextEncoderConfig CreateConfig(int vocabularySize)
        {
            var config = Architecture ?? PretrainedWeights?.TextEncoder ?? Small;
            config = config with { Pooler = false, BalanceLossWeight = BalanceLossWeight ?? config.BalanceLossWeight };
            if (PretrainedWeights is null)
                config = config with { VocabularySize = vocabularySize };
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
                if (PretrainedWeights is not null)
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
            OptionChecks.AtLeast(100, VocabularySize, nameof(VocabularySize));
            OptionChecks.AtLeast(FewestTokens, MaxTokens ?? FewestTokens, nameof(MaxTokens));
            Refuse(LayerDecay != 1, nameof(LayerDecay), LayerDecay, "all layers of a text encoder learn alike");
            if (PretrainedWeights is { } weights)
            {
                var published = weights.RequireTextEncoder(nameof(PretrainedWeights));
                if (Architecture is { } architecture)
                    RequireSameShape(architecture, published);
            }
            _ = CreateConfig(vocabularySize: 2);
        }

        // What acts while training only may differ.
        private static void RequireSameShape(TextEncoderConfig architecture, TextEncoderConfig published)
        {
            var same = published with
            {
                Pooler = architecture.Pooler,
                Dropout = architecture.Dropout,
                BalanceLossWeight = architecture.BalanceLossWeight,
                VocabularySize = architecture.VocabularySize,
                Experts = architecture.Experts,
                ExpertsPerToken = architecture.ExpertsPerToken,
                ExpertWidth = architecture.ExpertWidth,
                RouterNoise = architecture.RouterNoise,
                TrainingCapacity = architecture.TrainingCapacity,
            };
            if (architecture.Experts > 0 || same != architecture)
                throw new ArgumentException(
                    $"{nameof(Architecture)} is another network than the one in {nameof(PretrainedWeights)}, which has {published.Blocks} "
                        + $"blocks of width {published.Width}; only {nameof(architecture.Dropout)} may differ. Leave "
                        + $"{nameof(Architecture)} out.");
        }
    }
}
