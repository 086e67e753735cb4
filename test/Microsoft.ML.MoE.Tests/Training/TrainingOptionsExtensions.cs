using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Tests.Training;

internal static class TrainingOptionsExtensions
{
    /// <summary>A changed copy.</summary>
    public static TrainingOptions With(this TrainingOptions options, Action<TrainingOptions> change)
    {
        var copy = options.Copy();
        change(copy);
        return copy;
    }
}
