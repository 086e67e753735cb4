namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>The experts of tables, for one token at a time. Disposing lets go of the tables.</summary>
internal unsafe interface ITableRows : IDisposable
{
    /// <summary>sum = Σ gates[m] · expert ids[m] of x, on this thread.</summary>
    /// <param name="x">A token (D).</param>
    /// <param name="gates">Gates (M).</param>
    /// <param name="ids">Experts (M), which are not checked.</param>
    /// <param name="choices">M.</param>
    /// <param name="sum">Receives it (D).</param>
    void Sum(float* x, float* gates, long* ids, int choices, float* sum);
}
