using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Experts;

/// <summary>
/// The merged experts of a model, by layer and role, made when they are first used: scoring then costs what a dense model costs. For evaluation, and for as long as the model's weights
/// stay as they are. The caller owns it and hands it from call to call; not for several threads at once.
/// </summary>
public sealed class MergedExperts : IDisposable
{
    private readonly Dictionary<(LinearExperts Experts, TokenRole Role), MergedLinear> layers = [];

    /// <summary>How many layers have been merged.</summary>
    public int Count => layers.Count;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var layer in layers.Values)
            layer.Dispose();
        layers.Clear();
    }

    internal MergedLinear GetOrMerge(LinearExperts experts, TokenRole role, Func<MergedLinear> merge)
    {
        if (!layers.TryGetValue((experts, role), out var layer))
            layers.Add((experts, role), layer = merge().DetachFromDisposeScope());
        return layer;
    }
}
