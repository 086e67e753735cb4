using System.Diagnostics.CodeAnalysis;
using System.Text.Json.Serialization;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Models;

/// <summary>A task of a <see cref="Generalist"/>: what is asked, of what, and how much it counts in training. Immutable.</summary>
public sealed record GeneralistTask
{
    /// <summary>Makes a task whose name and kind are set by an initializer.</summary>
    public GeneralistTask()
    {
    }

    /// <summary>Makes a task, also in languages that know no required members.</summary>
    /// <param name="name">Its name, not empty.</param>
    /// <param name="kind">What it asks for.</param>
    [SetsRequiredMembers]
    public GeneralistTask(string name, GeneralistTaskKind kind) => (Name, Kind) = (name, kind);

    /// <summary>Its name, not empty.</summary>
    public required string Name { get; init; }

    /// <summary>What it asks for.</summary>
    public required GeneralistTaskKind Kind { get; init; }

    /// <summary>
    /// The names of a classification's classes, as the model reads them; null (default) for those of the training data, in their order
    /// there. Other kinds have none.
    /// </summary>
    public IReadOnlyList<string>? ClassNames { get; init; }

    /// <summary>How often a batch is of this task, relative to the others; above 0. Default 1.</summary>
    public double SamplingRatio { get; init; } = 1;

    /// <summary>What the task's loss is multiplied by, above 0. Default 1.</summary>
    public double LossWeight { get; init; } = 1;

    /// <summary>
    /// Attributes of the input's tokens; null (default) for those of <see cref="AttributeTable"/> for tasks of this kind.
    /// </summary>
    public IReadOnlyList<string>? InputAttributes { get; init; }

    /// <summary>
    /// Attributes of the words of a description, which are read beside the picture; null (default) for those of
    /// <see cref="AttributeTable"/>. Other kinds do not read them.
    /// </summary>
    public IReadOnlyList<string>? DescriptionAttributes { get; init; }

    /// <summary>
    /// Attributes of the targets' tokens; null (default) for those of <see cref="AttributeTable"/> for tasks of this kind.
    /// </summary>
    public IReadOnlyList<string>? TargetAttributes { get; init; }

    /// <summary>The role of the input's tokens.</summary>
    [JsonIgnore]
    public TokenRole InputRole => new(Name, Kind.InputModality(), InputAttributes ?? AttributeTable.AttributesOf(StandardInput));

    /// <summary>The role of a description's words.</summary>
    [JsonIgnore]
    public TokenRole DescriptionRole =>
        new(Name, TokenModality.Text, DescriptionAttributes ?? AttributeTable.AttributesOf(StandardRole.Description));

    /// <summary>The role of the targets' tokens.</summary>
    [JsonIgnore]
    public TokenRole TargetRole => new(Name, TokenModality.Text, TargetAttributes ?? AttributeTable.AttributesOf(StandardTarget));

    /// <summary>The roles that the model must know for the task.</summary>
    [JsonIgnore]
    internal IReadOnlyList<TokenRole> Roles => Kind.IsCaption() ? [InputRole, DescriptionRole, TargetRole] : [InputRole, TargetRole];

    private StandardRole StandardInput => Kind switch
    {
        _ when Kind.IsRetrieval() => StandardRole.RetrievedPicture,
        _ when Kind.IsCaption() => StandardRole.DescribedPicture,
        GeneralistTaskKind.CausalLanguageModel => StandardRole.CausalText,
        _ => Kind.InputModality() == TokenModality.Text ? StandardRole.Text : StandardRole.ClassifiedPicture,
    };

    private StandardRole StandardTarget => Kind switch
    {
        _ when Kind.IsRetrieval() => StandardRole.RetrievedText,
        GeneralistTaskKind.ImageClassification or GeneralistTaskKind.VideoClassification => StandardRole.ClassName,
        _ => StandardRole.Word,
    };

    /// <summary>Checks the task.</summary>
    /// <exception cref="ArgumentException">A property is out of range; the message names the task, the value found and the value
    /// wanted.</exception>
    internal void Validate()
    {
        if (string.IsNullOrWhiteSpace(Name))
            throw new ArgumentException($"A task's {nameof(Name)} is '{Name}'; it must not be empty.");
        OptionChecks.Defined(Kind, $"{nameof(Kind)} of task '{Name}'");
        OptionChecks.Above(0, SamplingRatio, $"{nameof(SamplingRatio)} of task '{Name}'");
        OptionChecks.Above(0, LossWeight, $"{nameof(LossWeight)} of task '{Name}'");
        if (ClassNames is { } names)
        {
            if (!Kind.IsClassification())
                throw new ArgumentException(
                    $"{nameof(ClassNames)} of task '{Name}' is set, but a task of kind {Kind} has no classes; it must be null.");
            if (names.Count < 2 || names.Any(string.IsNullOrEmpty) || names.Distinct().Count() != names.Count)
                throw new ArgumentException(
                    $"{nameof(ClassNames)} of task '{Name}' is [{string.Join(", ", names)}]; at least 2 names are wanted, none empty and "
                        + "none twice.");
        }
        _ = Roles;
    }
}
