using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Tests.Shared;

namespace Microsoft.ML.MoE.Tests.House;

/// <summary>What CONTRIBUTING says of the library's rooms. A type's namespace is its room.</summary>
[TestClass]
public sealed class FloorsTests
{
    private const string House = "Microsoft.ML.MoE.";

    private static readonly Floors Library = new(
        ["Pretraining", "Generation", "Interchange"],
        ["Objectives"],
        ["Training", "Models"],
        ["Layers"],
        ["Inference"],
        ["Experts"],
        ["Routing"],
        ["Optimizers", "Augmentation"],
        ["Kernels.Experts", "Kernels.Tables", "Kernels.ProductKeys"],
        ["Kernels.Gemm"],
        ["Kernels", "Weights"],
        ["Runtime"]);

    [TestMethod]
    public void NoTypeRefersToAHigherFloor()
    {
        var broken = Library.Broken(References(), RoomOf);
        Assert.HasCount(0, broken, $"A room uses only rooms on lower floors, but:\n{string.Join('\n', broken)}");
    }

    [TestMethod]
    public void EveryTypeIsInARoom() =>
        CollectionAssert.AreEquivalent(Library.Rooms.ToArray(), References().Keys.Select(RoomOf).Distinct().ToArray());

    [TestMethod]
    public void ReferencesOfEveryKindAreFound()
    {
        var references = References();
        Assert.Contains(typeof(FeedForwardExperts).FullName!, references["Microsoft.ML.MoE.Layers.MixtureOfExperts"], "a field");
        Assert.Contains("Microsoft.ML.MoE.Kernels.WorkTeam", references[typeof(ExpertTables).FullName!], "a call within a lambda");
        Assert.Contains(typeof(TransformerClassifier).FullName!, references[typeof(WideNet).FullName!], "a base type");
        Assert.Contains("Microsoft.ML.MoE.Kernels.Tables.BFloat16Rows", references[typeof(ExpertTables).FullName!], "a type argument");
    }

    // What the compiler adds to an assembly is in no room.
    private static Dictionary<string, IReadOnlySet<string>> References() =>
        TypeReferences
            .Of(typeof(WideNet).Assembly)
            .Where(type => IsOurs(type.Key))
            .ToDictionary(type => type.Key, type => (IReadOnlySet<string>)type.Value.Where(IsOurs).ToHashSet());

    private static bool IsOurs(string type) => type.StartsWith(House, StringComparison.Ordinal);

    private static string RoomOf(string type) => type[House.Length..type.LastIndexOf('.')];
}
