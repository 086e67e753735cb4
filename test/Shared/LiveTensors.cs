using TorchSharp;

namespace Microsoft.ML.MoE.Tests.Shared;

/// <summary>Counts tensors, for tests that say that none is left behind.</summary>
internal static class LiveTensors
{
    /// <summary>
    /// How many tensors there are, once those that other code has left to the finalizer are gone: else they would go in the middle of a
    /// test. Compare with <see cref="torch.Tensor.TotalCount"/> afterwards, so that what the test itself leaves to the finalizer still
    /// counts.
    /// </summary>
    public static long Count()
    {
        for (var round = 0; round < 2; round++)   // what a finalizer lets go of is found in the second
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        return torch.Tensor.TotalCount;
    }
}
