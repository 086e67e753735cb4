using System.Globalization;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Shared;

/// <summary>Runs the test where the process may use so many gigabytes of memory, and skips it with a message elsewhere.</summary>
public sealed class RequiresMemoryAttribute : ConditionBaseAttribute
{
    private readonly int gigabytes;

    public RequiresMemoryAttribute(int gigabytes)
        : base(ConditionMode.Include)
    {
        this.gigabytes = gigabytes;
        IgnoreMessage = string.Create(CultureInfo.InvariantCulture, $"This test needs {gigabytes} GB of memory.");
    }

    public override string GroupName => nameof(RequiresMemoryAttribute);

    public override bool IsConditionMet => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes >= gigabytes * 1_000_000_000L;
}
