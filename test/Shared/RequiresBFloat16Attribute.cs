using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Shared;

/// <summary>
/// Runs the test where the processor multiplies bfloat16 matrices, for which that path of the experts is written, and skips it with a
/// message elsewhere.
/// </summary>
public sealed class RequiresBFloat16Attribute : ConditionBaseAttribute
{
    public RequiresBFloat16Attribute()
        : base(ConditionMode.Include) => IgnoreMessage = "This test needs a processor with AVX-512 BF16 or AMX.";

    public override string GroupName => nameof(RequiresBFloat16Attribute);

    public override bool IsConditionMet => PrecisionExtensions.CpuMultipliesBFloat16;
}
