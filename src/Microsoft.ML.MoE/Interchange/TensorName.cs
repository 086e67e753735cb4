namespace Microsoft.ML.MoE.Interchange;

/// <summary>A line of a table of names.</summary>
/// <param name="Ours">Our name; <c>{i}</c> stands for the number of a block.</param>
/// <param name="Theirs">
/// The other library's name for it, <c>{i}</c> at the same place; several where ours is theirs one after the other along the first axis,
/// such as the projections to queries, keys and values.
/// </param>
internal sealed record TensorName(string Ours, params IReadOnlyList<string> Theirs)
{
    /// <summary>
    /// Whether the other library keeps more axes: the last ones of theirs are one axis of ours, such as channels and pixels of a patch.
    /// </summary>
    public bool Flattened { get; init; }
}
