using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// Which role the tokens of sequences have: parts of one role each, one after the other, the same for all sequences of a batch.
/// </summary>
internal sealed class SequenceLayout
{
    private readonly int[] roleOfPart;

    /// <summary>Lays out sequences.</summary>
    /// <param name="parts">The parts in their order, each with its tokens, at least 1.</param>
    /// <exception cref="ArgumentException">There is no part, or one without tokens.</exception>
    public SequenceLayout(params IReadOnlyList<SequencePart> parts)
    {
        if (parts.Count == 0 || parts.Any(part => part.Length < 1))
            throw new ArgumentException(
                $"The parts have [{string.Join(", ", parts.Select(part => part.Length))}] tokens; at least one part is wanted, and at "
                    + "least 1 token in each.",
                nameof(parts));
        Parts = [.. parts];
        Roles = [.. Parts.Select(part => part.Role).Distinct()];
        roleOfPart = [.. Parts.Select(part => Roles.ToList().IndexOf(part.Role))];
    }

    /// <summary>The parts in their order.</summary>
    public IReadOnlyList<SequencePart> Parts { get; }

    /// <summary>The roles, each once, in the order of their first parts.</summary>
    public IReadOnlyList<TokenRole> Roles { get; }

    /// <summary>Tokens of a sequence.</summary>
    public long Length => Parts.Sum(part => part.Length);

    /// <summary>Which of <see cref="Roles"/> a part has.</summary>
    internal int RoleOf(int part) => roleOfPart[part];
}
