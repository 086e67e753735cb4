using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Weights;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The model that a training of a generalist starts from (<see cref="UniPerceiverGeneralist.Options.InitialModel"/>).</summary>
internal sealed class GeneralistStartingPoint
{
    private const string Option = nameof(UniPerceiverGeneralist.Options.InitialModel);

    private readonly GeneralistTransformer transformer;

    private GeneralistStartingPoint(GeneralistTransformer transformer) => this.transformer = transformer;

    /// <summary>Its configuration.</summary>
    public GeneralistConfig Config => transformer.Model.Config;

    /// <summary>Its tokenizer.</summary>
    public TextTokenizer Tokenizer => transformer.Tokenizer;

    /// <summary>How pictures become its input.</summary>
    public GeneralistInputs Inputs => transformer.Scorer.Inputs;

    /// <summary>The shape of its images and frames; null where it has learned none.</summary>
    public ImageShape? Shape => (Inputs.Images ?? Inputs.Videos)?.Column.Frame.Shape;

    /// <summary>The trainings that made it, as far as they are known.</summary>
    public IReadOnlyList<GeneralistSummary> Trainings =>
        transformer.Training is { } last ? [.. last.Earlier, last with { Earlier = [] }] : [];

    /// <summary>Finds the generalist in a model.</summary>
    /// <param name="model">A generalist, the transformer of one of its tasks, or a chain of transformers with one in it.</param>
    /// <exception cref="ArgumentException">There is none, or there are several.</exception>
    public static GeneralistStartingPoint Find(ITransformer model) =>
        Generalists(model).Distinct().ToArray() switch
        {
            [var one] => new(one),
            [] => throw new ArgumentException(
                $"{Option} is a {model.GetType().Name} with no generalist in it; it must be a {nameof(GeneralistTransformer)}, or a "
                    + "pipeline with one in it."),
            var several => throw new ArgumentException(
                $"{Option} has {several.Length} generalists in it; it must have one: give the {nameof(GeneralistTransformer)} itself."),
        };

    /// <summary>
    /// Checks that options do not contradict the model: what it decides is left as it is by default, or is what it is there.
    /// </summary>
    /// <exception cref="ArgumentException">An option does, or a task is none for the model.</exception>
    /// <exception cref="ObjectDisposedException">The model has been disposed.</exception>
    public void RequireAgreement(UniPerceiverGeneralist.Options options)
    {
        if (Config.Prompts > 0)
            throw new ArgumentException(
                $"{Option} has {Config.Prompts} prompts, which belong to one task; it must be the model that they were trained for.");
        var usual = new UniPerceiverGeneralist.Options();
        if (options.Tokenizer != usual.Tokenizer)
            throw new ArgumentException(
                $"{nameof(options.Tokenizer)} is {options.Tokenizer.Kind}, but the tokenizer is that of {Option}; leave it out.");
        Require(nameof(options.PatchSize), options.PatchSize, null, Config.PatchSize);
        if (options.Architecture is { } architecture)
            RequireArchitecture(architecture);
        if (options.Frames > Config.Frames)
            throw new ArgumentException($"{nameof(options.Frames)} is {options.Frames}; {Option} takes videos of at most {Config.Frames}.");
        if (options.Tasks.FirstOrDefault(task => task.Kind.InputModality() != TokenModality.Text && Inputs.Of(task) is null) is { } task)
            throw new ArgumentException(
                $"Task '{task.Name}' is {task.Kind}, and {Option} has learned no pictures of modality {task.Kind.InputModality()}.");
        if (Shape is { } shape)
        {
            Require(nameof(options.Channels), options.Channels, null, shape.Channels);
            Require(nameof(options.ImageHeight), options.ImageHeight, null, shape.Height);
            Require(nameof(options.ImageWidth), options.ImageWidth, null, shape.Width);
        }
        Use(model => model.RequireRoles([.. options.Tasks.SelectMany(task => task.Roles)]));

        static void Require<T>(string name, T value, T usual, T earlier)
        {
            if (!Equals(value, usual) && !Equals(value, earlier))
                throw new ArgumentException(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{name} is {value}, but that of {Option} is {(object?)earlier ?? "null"}, which stays as it is; leave it out."));
        }
    }

    // All of it but what options and data say, and what acts while training only.
    private void RequireArchitecture(GeneralistConfig architecture)
    {
        var same = architecture with
        {
            VocabularySize = Config.VocabularySize,
            Channels = Config.Channels,
            ImageHeight = Config.ImageHeight,
            ImageWidth = Config.ImageWidth,
            PatchSize = Config.PatchSize,
            Frames = Config.Frames,
            Tasks = Config.Tasks,
            DropPath = Config.DropPath,
        };
        var (asked, earlier) = (JsonNode.Parse(same.ToJson())!.AsObject(), JsonNode.Parse(Config.ToJson())!.AsObject());
        var names = asked.Select(property => property.Key);
        if (names.FirstOrDefault(name => !JsonNode.DeepEquals(asked[name], earlier[name])) is { } differing)
        {
            throw new ArgumentException(
                $"{differing} of the {nameof(UniPerceiverGeneralist.Options.Architecture)} is {Text(asked[differing])}, but that of "
                    + $"{Option} is {Text(earlier[differing])}, which stays as it is; leave "
                    + $"{nameof(UniPerceiverGeneralist.Options.Architecture)} out.");
        }

        static string Text(JsonNode? value) => value?.ToJsonString() ?? "null";
    }

    /// <summary>Throws where the model has been disposed, before a long look at the data.</summary>
    /// <exception cref="ObjectDisposedException">It has been.</exception>
    public void RequireAlive() => Use(_ => { });

    /// <summary>Copies the weights into a new model of the same shape, and says so.</summary>
    public void CopyTo(Generalist model, IChannel channel)
    {
        Use(earlier => NamedTensors.Copy(NamedTensors.Of(model), NamedTensors.Of(earlier)));
        channel.Info(
            MessageSensitivity.None,
            $"Starting from an earlier model of the tasks [{string.Join(", ", transformer.Tasks.Select(task => task.Name))}].");
    }

    /// <summary>
    /// How the images, or the videos, of a training become the model's input: normalised as those that the model has learned.
    /// </summary>
    /// <param name="column">Their column in the training data; null where no task has any, so that those that the model has learned are
    /// kept.</param>
    /// <param name="measured">The normalisation that the training data would have got; null without a column.</param>
    /// <param name="learned">Those of the model; null where it has learned none.</param>
    /// <param name="name">The name of the column.</param>
    /// <param name="channel">Receives a warning where the pixels are far from those that the model has learned.</param>
    public static GeneralistPictures? Continue(
        PictureColumn? column, PixelNormalization? measured, GeneralistPictures? learned, string name, IChannel channel)
    {
        if (learned is null || column is null)
            return learned is null
                ? null
                : learned with { Column = learned.Column with { Frame = learned.Column.Frame with { Name = name } } };
        learned.Normalization.WarnOfOtherPixels(measured!, Option, channel);
        return new(column, learned.Normalization);
    }

    private void Use(Action<Generalist> action) => transformer.Scorer.Use(model =>
    {
        action(model);
        return true;
    });

    private static IEnumerable<GeneralistTransformer> Generalists(ITransformer model) => model switch
    {
        GeneralistTransformer generalist => [generalist],
        GeneralistTaskTransformer task => [task.Generalist],
        IEnumerable<ITransformer> chain => chain.SelectMany(Generalists),
        _ => [],
    };
}
