using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Tests.Shared;

namespace Estimators.Tests.House;

/// <summary>
/// What CONTRIBUTING says of the estimators' rooms. Users look for all public types in one namespace, so a type's room is the folder
/// of its source file.
/// </summary>
[TestClass]
public sealed class FloorsTests
{
    private const string Folder = "/src/Estimators/";
    private const string Catalogs = "catalogs";   // the folder itself

    private static readonly Floors Estimators = new(
        [Catalogs],
        ["WideNet", "SparseMlp", "VisionTransformer"],
        ["Classification", "Generalist", "LanguageModels", "TextEncoders"],
        ["Hosting"],
        ["Scoring", "Persistence"],
        ["Data", "Text"]);

    [TestMethod]
    public void NoTypeRefersToAHigherFloor()
    {
        var rooms = Rooms();
        var references = TypeReferences.Of(typeof(WideNetImageClassifier).Assembly).Where(type => rooms.ContainsKey(type.Key))
            .ToDictionary(type => type.Key, type => (IReadOnlySet<string>)type.Value.Where(rooms.ContainsKey).ToHashSet());
        var broken = Estimators.Broken(references, type => rooms[type]);
        Assert.HasCount(0, broken, $"A room uses only rooms on lower floors, but:\n{string.Join('\n', broken)}");
    }

    [TestMethod]
    public void EveryFileIsInARoom() => CollectionAssert.AreEquivalent(Estimators.Rooms.ToArray(), Rooms().Values.Distinct().ToArray());

    [TestMethod]
    public void OfEveryTypeTheFileIsKnown()
    {
        var rooms = Rooms();
        foreach (var type in typeof(WideNetImageClassifier).Assembly.GetTypes().Where(type => type.IsPublic))
            Assert.IsTrue(rooms.ContainsKey(type.FullName!), type.FullName);
    }

    // Of every outer type; what is made while compiling is in no room.
    private static Dictionary<string, string> Rooms() => SourceFiles.Of(typeof(WideNetImageClassifier).Assembly)
        .Select(type => (type.Key, File: type.Value.Replace('\\', '/')))
        .Where(type => type.File.Contains(Folder, StringComparison.Ordinal) && !type.File.Contains("/obj/", StringComparison.Ordinal))
        .ToDictionary(type => type.Key, type => RoomOf(type.File));

    private static string RoomOf(string file)
    {
        var path = file[(file.LastIndexOf(Folder, StringComparison.Ordinal) + Folder.Length)..];
        var end = path.IndexOf('/', StringComparison.Ordinal);
        return end < 0 ? Catalogs : path[..end];
    }
}
