// Axes: B = routing operations of the model, in the order of its blocks, C = classes, E = experts of an operation.

using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// How many patches each expert got, by routing operation and by the class of the image that they are part of. An operation is one block of
/// a model that routes once in every block; a group of blocks that route together is one operation, and a block with two mixtures has two.
/// A mixture over the channels of an image, such as Sparse-MLP has, counts channels in place of patches.
/// </summary>
/// <param name="Classes">What the classes are called, (C); their keys where they have no names.</param>
/// <param name="ByClass">
/// The load (B, C), with counts of (E): <c>ByClass[operation][class].Counts[expert]</c>. A patch counts once for each expert that it is
/// sent to, so the counts of an image add up to its patches (and class token) times the experts of each.
/// </param>
/// <param name="Unlabelled">The load (B), with counts of (E), of the images whose label is missing or none of the model's classes.</param>
/// <param name="Images">Images of each class, (C).</param>
/// <param name="UnlabelledImages">Images whose label is missing or none of the model's classes.</param>
/// <param name="UnreadableImages">Rows whose image is missing or cannot be read: they are in no count.</param>
public sealed record ExpertLoadByClass(
    IReadOnlyList<string> Classes, IReadOnlyList<IReadOnlyList<ExpertLoad>> ByClass, IReadOnlyList<ExpertLoad> Unlabelled,
    IReadOnlyList<long> Images, long UnlabelledImages, long UnreadableImages)
{
    /// <summary>The load of all images together, labelled or not: (B), with counts of (E).</summary>
    public IReadOnlyList<ExpertLoad> Total =>
        ByClass.Zip(Unlabelled, (classes, rest) => classes.Aggregate(rest, (sum, load) => sum.Add(load))).ToArray();
}
