// What a router that does not look at the data is told: a vector for the role of the tokens. Uni-Perceiver-MoE, arXiv 2206.04674, section
// 4.2.
//
// Axes: R = roles, D = model width, A = attributes.

using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// A learned vector for each modality or task, or LayerNorm(W·a + b) of the attributes a ∈ {0, 1}ᴬ. One serves all layers of a model; each
/// has a gate of its own.
/// </summary>
internal sealed class RoleEmbedding : nn.Module<IReadOnlyList<TokenRole>, Tensor>
{
    private readonly RoutingLevel level;
    private readonly string[] names;
    private readonly Device? device;
    private readonly Parameter? vectors;
    private readonly Dense? projection;
    private readonly LayerNorm? norm;

    /// <summary>Makes an embedding.</summary>
    /// <param name="level">Modality, task or attribute.</param>
    /// <param name="width">Model width D.</param>
    /// <param name="names">The tasks or attributes that there are, none twice; not read for modalities.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <exception cref="ArgumentException">The level depends on the data, or there is no name, or one is there twice.</exception>
    public RoleEmbedding(RoutingLevel level, int width, IReadOnlyList<string> names, Device? device = null) : base(nameof(RoleEmbedding))
    {
        if (level.DependsOnData())
            throw new ArgumentException(
                $"The level is {level}, which has no vector for a role; Modality, Task or Attribute is wanted.", nameof(level));
        this.level = level;
        this.device = device;
        this.names = level == RoutingLevel.Modality ? Enum.GetNames<TokenModality>() : [.. names];
        if (this.names.Length == 0 || this.names.Distinct().Count() != this.names.Length)
            throw new ArgumentException(
                $"The names at level {level} are [{string.Join(", ", this.names)}]; at least one is wanted, none twice.", nameof(names));
        if (level == RoutingLevel.Attribute)
        {
            projection = new Dense(this.names.Length, width, device) { HiddenLayers = 0 };
            norm = new LayerNorm(width, device: device);
        }
        else
        {
            vectors = new Parameter(Draws.Normal(empty([this.names.Length, width], float32, device), 0, 1));
        }
        RegisterComponents();
    }

    /// <summary>The vectors of roles.</summary>
    /// <param name="roles">R roles, at least one.</param>
    /// <returns>float32 (R, D).</returns>
    /// <exception cref="ArgumentException">A role has a task or an attribute that is not one of the declared.</exception>
    public override Tensor forward(IReadOnlyList<TokenRole> roles)
    {
        using var scope = NewDisposeScope();
        if (vectors is not null)
            return vectors.index_select(0, tensor([.. roles.Select(IndexOf)], int64, device)).MoveToOuterDisposeScope();
        var attributes_RA = stack(roles.Select(Attributes), 0);
        return norm!.forward(projection!.forward(attributes_RA)).MoveToOuterDisposeScope();
    }

    private Tensor Attributes(TokenRole role)
    {
        if (role.Attributes.FirstOrDefault(attribute => !names.Contains(attribute)) is { } unknown)
            throw new ArgumentException($"Task '{role.Task}' has the attribute '{unknown}'; the model knows [{string.Join(", ", names)}].");
        return tensor(Array.ConvertAll(names, name => role.Attributes.Contains(name) ? 1f : 0f), float32, device);
    }

    private long IndexOf(TokenRole role)
    {
        var name = level == RoutingLevel.Task ? role.Task : role.Modality.ToString();
        var index = Array.IndexOf(names, name);
        return index >= 0
            ? index
            : throw new ArgumentException(
                $"The model was not trained for a task '{name}'; a router at level {level} knows [{string.Join(", ", names)}] only. "
                    + $"Routers at level {RoutingLevel.Attribute} take new tasks.");
    }
}
