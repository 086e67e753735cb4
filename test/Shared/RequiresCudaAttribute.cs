using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Microsoft.ML.MoE.Tests.Shared;

/// <summary>Runs the test where torch sees a CUDA device, and skips it with a message where there is none.</summary>
public sealed class RequiresCudaAttribute : ConditionBaseAttribute
{
    public RequiresCudaAttribute()
        : base(ConditionMode.Include) =>
        IgnoreMessage = "This test needs a CUDA device: build with -p:TorchBackend=cuda-linux (or cuda-windows) on a machine that has one.";

    public override string GroupName => nameof(RequiresCudaAttribute);

    public override bool IsConditionMet
    {
        get
        {
            TorchRuntime.Initialize();   // conditions are asked before any test's assembly initializer runs
            return torch.cuda.is_available();
        }
    }
}
