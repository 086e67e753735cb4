using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Tables;

namespace Microsoft.ML.MoE.Experts;

/// <summary>The experts of <see cref="ExpertTables"/> on numbers in memory, in evaluation. Their tables are read where they lie.</summary>
/// <param name="rows">Reads them; holds the tables.</param>
/// <param name="width">Model width D.</param>
internal sealed unsafe class ExpertRows(ITableRows rows, int width) : IDisposable
{
    /// <summary>Lets go of the tables.</summary>
    public void Dispose() => rows.Dispose();

    /// <summary>Adds up the experts of every token, on this thread.</summary>
    /// <param name="x">Tokens (T, D).</param>
    /// <param name="gates">Gates (T, M).</param>
    /// <param name="ids">Experts (T, M).</param>
    /// <param name="tokens">T.</param>
    /// <param name="choices">M.</param>
    /// <param name="sum">Room for D numbers.</param>
    /// <param name="y">What is added to, (T, D).</param>
    public void AddTo(float* x, float* gates, long* ids, int tokens, int choices, float* sum, float* y)
    {
        for (var token = 0; token < tokens; token++)
        {
            var pair = (nint)token * choices;
            rows.Sum(x + ((nint)token * width), gates + pair, ids + pair, choices, sum);
            RowSums.AddScaled(sum, 1, y + ((nint)token * width), width);
        }
    }
}
