namespace Microsoft.ML.MoE.Routing;

/// <summary>How scores of retrieved experts become gates.</summary>
public enum GateFunction
{
    /// <summary>Softmax over the experts that one head has retrieved: they compete, and a head's gates sum to 1.</summary>
    Softmax,

    /// <summary>The logistic function of each score on its own.</summary>
    Sigmoid,
}
