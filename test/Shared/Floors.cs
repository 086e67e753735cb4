namespace Microsoft.ML.MoE.Tests.Shared;

/// <summary>The floors of a house, the highest first: a room uses rooms on lower floors only, none above and none beside it.</summary>
/// <param name="floors">The rooms of each floor.</param>
internal sealed class Floors(params string[][] floors)
{
    /// <summary>The rooms.</summary>
    public IEnumerable<string> Rooms => floors.SelectMany(floor => floor);

    /// <summary>The references that no staircase leads down, as <c>ROOM/Type → ROOM/Type</c>, in order.</summary>
    /// <param name="references">Types with those that they refer to.</param>
    /// <param name="roomOf">A type's room.</param>
    public IReadOnlyList<string> Broken(IReadOnlyDictionary<string, IReadOnlySet<string>> references, Func<string, string> roomOf)
    {
        var heights = floors
            .SelectMany((floor, depth) => floor.Select(room => (room, Height: -depth)))
            .ToDictionary(pair => pair.room, pair => pair.Height);
        return
        [
            .. from type in references
            let room = roomOf(type.Key)
            from used in type.Value
            let other = roomOf(used)
            where other != room && heights[other] >= heights[room]
            let line = $"{room}/{Name(type.Key)} -> {other}/{Name(used)}"
            orderby line
            select line];
    }

    private static string Name(string type) => type[(type.LastIndexOf('.') + 1)..];
}
