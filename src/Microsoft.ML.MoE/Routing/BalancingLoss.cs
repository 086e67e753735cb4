namespace Microsoft.ML.MoE.Routing;

/// <summary>Which loss keeps the load of a router's experts even.</summary>
public enum BalancingLoss
{
    /// <summary><see cref="BalancingLosses.TopK"/>: the share of the choices times the mean probability (WideNet).</summary>
    TopK,

    /// <summary>
    /// <see cref="BalancingLosses.ImportanceAndLoad"/>: half the importance loss and half the load loss (V-MoE, Sparse-MLP).
    /// </summary>
    ImportanceAndLoad,
}
