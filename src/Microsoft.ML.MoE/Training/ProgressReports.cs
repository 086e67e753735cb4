using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>Reports of a training to whoever wants them.</summary>
internal static class ProgressReports
{
    /// <summary>Reports. Tensors that the receiver makes are its own: no dispose scope of the training takes them.</summary>
    public static void Send(Action<TrainingProgress> receiver, TrainingProgress progress)
    {
        using var scope = NewDisposeScope();
        try
        {
            receiver(progress);
        }
        finally
        {
            scope.Detach(scope.DisposablesView);
        }
    }
}
