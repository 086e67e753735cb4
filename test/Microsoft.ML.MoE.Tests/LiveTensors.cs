using TorchSharp;

namespace Microsoft.ML.MoE.Tests;

/// <summary>Counts tensors, for tests that say that none is left behind.</summary>
internal static class LiveTensors
{
    /// <summary>How many tensors there are, once those that other tests left to the finalizer are gone: else they would go in the middle of a test.</summary>
    public static long Count()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return torch.Tensor.TotalCount;
    }
}
