namespace Microsoft.ML.MoE.Experts;

/// <summary>The activation of single-neuron experts.</summary>
public enum NeuronActivation
{
    /// <summary>x·Φ(x), with Φ the normal distribution, in its exact form.</summary>
    Gelu,

    /// <summary>max(x, 0).</summary>
    Relu,
}
