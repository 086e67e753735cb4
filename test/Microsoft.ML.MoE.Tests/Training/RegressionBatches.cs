using Microsoft.ML.MoE.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>y = 2 x0 - x1 + x2 / 2 + 3, other numbers every epoch.</summary>
internal sealed class RegressionBatches(int batches) : IBatchSource<RegressionBatch>
{
    public int? BatchesPerEpoch => batches;

    public IEnumerable<RegressionBatch> ReadEpoch(int epoch, CancellationToken cancellationToken)
    {
        using var generator = new Generator((ulong)epoch);
        for (int i = 0; i < batches; i++)
        {
            using var scope = NewDisposeScope();
            var x = randn([16, 3], generator: generator);
            yield return new(x.DetachFromDisposeScope(), (x.mv(tensor([2f, -1f, 0.5f])) + 3).unsqueeze(1).DetachFromDisposeScope());
        }
    }
}
