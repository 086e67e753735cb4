using System.Runtime.InteropServices;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Runtime;

/// <summary>
/// Runs the test on a Linux whose libstdc++ is too old for TorchSharp as it comes, and skips it with a message elsewhere.
/// </summary>
public sealed class RequiresPatchedTorchAttribute : ConditionBaseAttribute
{
    public RequiresPatchedTorchAttribute()
        : base(ConditionMode.Include) => IgnoreMessage = "This system loads TorchSharp's library as it is.";

    public override string GroupName => nameof(RequiresPatchedTorchAttribute);

    public override bool IsConditionMet
    {
        get
        {
            if (!OperatingSystem.IsLinux())
                return false;
            TorchRuntime.Initialize();   // libtorch, which the library needs, is loaded: what is left to fail is the version of libstdc++
            return !NativeLibrary.TryLoad(TorchLibrary.Path, out _);
        }
    }
}
