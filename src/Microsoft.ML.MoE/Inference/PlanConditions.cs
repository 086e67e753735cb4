using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Gemm;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Inference;

/// <summary>When a model is scored by a plan, and when by its own forward pass.</summary>
internal static class PlanConditions
{
    // A plan has a copy of them, 256 MB. In larger models the products take so long that calls do not matter.
    private const long MostWeights = 1L << 26;

    // From here on libtorch's products in bfloat16, for which the processor has instructions of its own, outweigh its calls.
    private const long MostWeightsOfBFloat16 = 1L << 22;

    /// <summary>
    /// Whether a model can have a plan: it is on a processor with AVX2 or AVX-512, and has not too many weights. The plan of one that
    /// computes in bfloat16 computes in float32: it says the same but for that type's rounding, and a small model says it sooner.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="computeType">Type of its matrix products.</param>
    public static bool Hold(nn.Module model, ScalarType computeType)
    {
        if (computeType is not (ScalarType.Float32 or ScalarType.BFloat16) || !MicroKernel.IsSupported)
            return false;
        // Tables of experts are read where they lie, as they are.
        var tables = model.modules().OfType<ExpertTables>().SelectMany(one => one.Tables).Select(table => table.Value.Handle).ToHashSet();
        var weights = 0L;
        foreach (var parameter in model.parameters())
        {
            if (tables.Contains(parameter.Handle))
            {
                if (parameter.device_type != DeviceType.CPU)
                    return false;
                continue;
            }
            if (!Memory.HoldsFloats(parameter))
                return false;
            weights += parameter.NumberOfElements;
        }
        return weights <= (computeType == ScalarType.Float32 ? MostWeights : MostWeightsOfBFloat16);
    }
}
