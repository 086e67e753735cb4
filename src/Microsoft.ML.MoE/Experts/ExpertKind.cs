namespace Microsoft.ML.MoE.Experts;

/// <summary>What an expert that is one row of each table computes.</summary>
public enum ExpertKind
{
    /// <summary>e(x) = v: a memory. One table.</summary>
    Value,

    /// <summary>e(x) = act(u·x)·v: a neuron with its weights in and out. Two tables.</summary>
    Neuron,

    /// <summary>
    /// e(x) = act(w·x)·(u·x)·v: a neuron with a gate, as one unit of a gated linear unit (Shazeer, arXiv 2002.05202). Three tables.
    /// </summary>
    GatedNeuron,
}
