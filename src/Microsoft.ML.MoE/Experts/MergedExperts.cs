using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Experts;

/// <summary>
/// The merged experts of a model, by layer and by what the router reads of a role, made when they are first used: scoring then costs what a
/// dense model costs. A layer keeps as many as it has experts, and at least 4, those that were used last; so they take no more memory than
/// twice what the experts take. For evaluation, and for as long as the model's weights stay as they are. The caller owns it and hands it
/// from call to call; not for several threads at once.
/// </summary>
internal sealed class MergedExperts : IDisposable
{
    private const int FewestKept = 4;   // the roles of two tasks that take turns

    private readonly Dictionary<LinearExperts, RecentlyUsed<string, MergedLinear>> layers = [];

    /// <summary>How many merged layers are kept.</summary>
    public int Count => layers.Values.Sum(merged => merged.Count);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var merged in layers.Values)
            merged.Dispose();
        layers.Clear();
    }

    /// <summary>The merged experts of a layer.</summary>
    /// <param name="experts">The layer.</param>
    /// <param name="key">What the router reads of the role.</param>
    /// <param name="together">Roles that are used at the same time: none of them is let go.</param>
    /// <param name="merge">Merges.</param>
    internal MergedLinear GetOrMerge(LinearExperts experts, string key, int together, Func<MergedLinear> merge)
    {
        if (!layers.TryGetValue(experts, out var merged))
            layers.Add(experts, merged = new RecentlyUsed<string, MergedLinear>(layer => layer.Dispose()));
        return merged.GetOrMake(key, Math.Max(together, Math.Max(FewestKept, experts.Count)), () => merge().DetachFromDisposeScope());
    }
}
