using System.Runtime.Intrinsics.X86;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Shared;

/// <summary>Runs the test where the processor has AVX-512, for which the managed kernels are written, and skips it with a message elsewhere.</summary>
public sealed class RequiresAvx512Attribute : ConditionBaseAttribute
{
    public RequiresAvx512Attribute()
        : base(ConditionMode.Include) => IgnoreMessage = "This test needs a processor with AVX-512.";

    public override string GroupName => nameof(RequiresAvx512Attribute);

    public override bool IsConditionMet => Avx512F.IsSupported;
}
