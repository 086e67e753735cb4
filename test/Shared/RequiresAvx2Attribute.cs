using System.Runtime.Intrinsics.X86;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Shared;

/// <summary>
/// Runs the test where the processor has AVX2 and FMA, for which the managed kernels are written, and skips it with a message
/// elsewhere.
/// </summary>
public sealed class RequiresAvx2Attribute : ConditionBaseAttribute
{
    public RequiresAvx2Attribute()
        : base(ConditionMode.Include) => IgnoreMessage = "This test needs a processor with AVX2 and FMA.";

    public override string GroupName => nameof(RequiresAvx2Attribute);

    public override bool IsConditionMet => Avx2.IsSupported && Fma.IsSupported;
}
