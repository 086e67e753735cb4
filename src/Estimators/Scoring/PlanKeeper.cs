using Microsoft.ML.MoE.Inference;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// The plan of a model that is trained: made when it is first asked for, and anew when the weights have changed. They can change only once
/// somebody has been given the model; until then nobody has to look, and asking for the plan takes no lock.
/// </summary>
/// <typeparam name="TPlan">The plan.</typeparam>
/// <param name="gate">Held by whoever uses the model itself.</param>
/// <param name="model">The model.</param>
/// <param name="create">Makes a plan of its weights as they are; null where it can have none.</param>
/// <param name="requireAlive">Throws where the model has been disposed, which happens under the lock.</param>
internal sealed class PlanKeeper<TPlan>(Lock gate, nn.Module model, Func<TPlan?> create, Action requireAlive) : IDisposable
    where TPlan : class
{
    private volatile Entry? made;
    private volatile bool isLent;
    private readonly List<IDisposable> replaced = [];

    /// <summary>The plan of the weights as they are; null where there is none.</summary>
    public TPlan? Get()
    {
        // Once it is lent, its tensors are looked at: under the lock, where nobody disposes them meanwhile.
        if (!isLent && made is { } entry)
            return entry.Plan;
        lock (gate)
        {
            requireAlive();
            if (made is null || (isLent && !IsCurrent(made)))
            {
                if (made?.Plan is IDisposable old)
                    replaced.Add(old);   // somebody may still use it
                var stamp = isLent ? WeightStamp.Of(model) : null;   // before the weights are read: they may change meanwhile
                made = new(create(), stamp);
            }
            return made.Plan;
        }
    }

    /// <summary>Somebody is given the model, and may change its weights from now on.</summary>
    public void Lend()
    {
        if (isLent)
            return;
        lock (gate)
        {
            requireAlive();
            if (made is not null)
                made = made with { Stamp = WeightStamp.Of(model) };
            isLent = true;
        }
    }

    /// <summary>Lets go of the plan, and of those before it; whoever uses one comes to an end first.</summary>
    public void Dispose()
    {
        foreach (var plan in replaced.Append(made?.Plan as IDisposable))
            plan?.Dispose();
    }

    private bool IsCurrent(Entry entry) => entry.Stamp!.Holds(model);

    private sealed record Entry(TPlan? Plan, WeightStamp? Stamp);
}
