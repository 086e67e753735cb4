using System.Text.Json.Serialization;

namespace Microsoft.ML.MoE.Routing;

/// <summary>
/// What tokens are in a task: tokens of one role go to the same experts where the router does not look at the data. Immutable, with
/// equality by value.
/// </summary>
public sealed class TokenRole : IEquatable<TokenRole>
{
    /// <summary>Describes a role.</summary>
    /// <param name="task">Name of the task, not empty.</param>
    /// <param name="modality">What the tokens were made of.</param>
    /// <param name="attributes">Names of the attributes that hold, in any order, none twice. <see cref="AttributeTable"/> has those of the
    /// paper.</param>
    /// <exception cref="ArgumentException">The name is empty, or an attribute is empty or there twice.</exception>
    [JsonConstructor]
    public TokenRole(string task, TokenModality modality, IReadOnlyList<string> attributes)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(task);
        ArgumentNullException.ThrowIfNull(attributes);
        string[] sorted = [.. attributes.Order(StringComparer.Ordinal)];
        if (sorted.Any(string.IsNullOrWhiteSpace) || sorted.Distinct().Count() != sorted.Length)
            throw new ArgumentException(
                $"The attributes are [{string.Join(", ", attributes)}]; names that are not empty are wanted, none twice.",
                nameof(attributes));
        (Task, Modality, Attributes) = (task, modality, sorted);
    }

    /// <summary>Name of the task.</summary>
    public string Task { get; }

    /// <summary>What the tokens were made of.</summary>
    public TokenModality Modality { get; }

    /// <summary>Names of the attributes that hold, in ordinal order.</summary>
    public IReadOnlyList<string> Attributes { get; }

    /// <inheritdoc/>
    public bool Equals(TokenRole? other) =>
        other is not null && Task == other.Task && Modality == other.Modality && Attributes.SequenceEqual(other.Attributes);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as TokenRole);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Task, Modality, string.Join(' ', Attributes));

    /// <summary>What a router reads of the role: roles of the same key go to the same experts.</summary>
    /// <param name="level">What decides in the router; null where that is not known.</param>
    internal string KeyAt(RoutingLevel? level) => level switch
    {
        RoutingLevel.Attribute => AttributeKey,
        RoutingLevel.Task => Task,
        RoutingLevel.Modality => Modality.ToString(),
        RoutingLevel.Token or RoutingLevel.Context => "",
        _ => $"{Modality}\n{AttributeKey}\n{Task}",
    };

    private string AttributeKey => string.Concat(Attributes.Select(name => $"{name.Length}:{name}"));

    /// <inheritdoc/>
    public override string ToString() => $"{Modality} tokens of task '{Task}' with [{string.Join(", ", Attributes)}]";
}
