using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Weights;
using Microsoft.ML.Runtime;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The classifier of texts that a training starts from (<see cref="WideNetTextClassifier.Options.InitialModel"/>).</summary>
internal sealed class TextStartingPoint
{
    private const string Option = nameof(WideNetTextClassifier.Options.InitialModel);

    private readonly TextClassificationTransformer transformer;

    private TextStartingPoint(TextClassificationTransformer transformer) => this.transformer = transformer;

    /// <summary>The encoder's configuration.</summary>
    public TextEncoderConfig Config => transformer.Scorer.Model.Encoder.Config;

    /// <summary>What makes its tokens.</summary>
    public WordPieceTokenizer Tokenizer => transformer.Scorer.Tokenizer;

    /// <summary>Finds the classifier of texts in a model.</summary>
    /// <param name="model">A classifier of texts, or a chain of transformers with one in it.</param>
    /// <exception cref="ArgumentException">There is none, or there are several.</exception>
    public static TextStartingPoint Find(ITransformer model) =>
        Classifiers(model).ToArray() switch
        {
            [var one] => new(one),
            [] => throw new ArgumentException(
                $"{Option} is a {model.GetType().Name} with no classifier of texts in it; it must be a "
                    + $"{nameof(TextClassificationTransformer)}, or a pipeline with one in it."),
            var several => throw new ArgumentException(
                $"{Option} has {several.Length} classifiers of texts in it; it must have one: give the "
                    + $"{nameof(TextClassificationTransformer)} itself."),
        };

    /// <summary>Copies the weights into a new model of a configuration that fits, and says what became of the head.</summary>
    /// <param name="model">The new model.</param>
    /// <param name="labels">Its classes.</param>
    /// <param name="options">What is not to learn, and how experts that grow differ.</param>
    /// <param name="channel">Receives what there is to say.</param>
    /// <exception cref="InvalidOperationException">The head is to stay as it is, but the classes are others.</exception>
    public void CopyTo(TextClassifier model, LabelColumn labels, WideNetTextClassifier.Options options, IChannel channel)
    {
        var frozen = options.Frozen;
        var positions = labels.PositionsIn(transformer.LabelValues, transformer.Scorer.Model.ClassCount);
        var isSame = labels.ClassCount == transformer.Scorer.Model.ClassCount
            && positions is not null && !positions.Contains(-1) && positions.Distinct().Count() == positions.Length;
        if (!isSame && frozen.HasFlag(ModelParts.Head))
            throw new InvalidOperationException(
                $"{nameof(WideNetTextClassifier.Options.Frozen)} is {frozen}, but the training data have other classes than the earlier "
                    + $"model, so that the head starts anew and has to learn: leave {nameof(ModelParts.Head)} out.");
        transformer.Scorer.Use(earlier =>
        {
            using var noGrad = torch.no_grad();
            using var scope = torch.NewDisposeScope();
            var theirs = ModuleWeights.Collect(earlier);
            var encoder = ModuleWeights.Collect(earlier.Encoder);
            model.Encoder.CopyFrom(earlier.Encoder.Config, name => encoder[name], options.ExpertNoise);
            foreach (var (name, mine) in ModuleWeights.Collect(model))
            {
                if (isSame && TextClassifier.PartOf(name) == ModelParts.Head)
                    mine.copy_(theirs[name].index_select(
                        0, torch.tensor([.. positions!.Select(place => (long)place)], torch.int64, theirs[name].device)));
            }
        });
        channel.Say(
            $"Starting from an earlier model; the head {(isSame ? "goes on, with the same classes" : "starts anew, for other classes")}; "
                + $"frozen: {frozen}.");
    }

    private static IEnumerable<TextClassificationTransformer> Classifiers(ITransformer model) => model switch
    {
        TextClassificationTransformer classifier => [classifier],
        IEnumerable<ITransformer> chain => chain.SelectMany(Classifiers),
        _ => [],
    };
}
