namespace GeneralistSample;

/// <summary>What a small step for each task does to the loss of one, relative to a step for itself.</summary>
/// <param name="Block">The block whose weights take the step, from 0.</param>
/// <param name="Task">The task whose loss it is.</param>
/// <param name="Steps">The ratio of means by the task that the step is for.</param>
internal sealed record InterferenceRow(int Block, string Task, IReadOnlyDictionary<string, double> Steps)
{
    /// <summary>The rows of one layer.</summary>
    public static IEnumerable<InterferenceRow> Of(Microsoft.ML.MoE.Objectives.LayerInterference layer) => layer.Tasks.Select((task, row) =>
        new InterferenceRow(
            layer.Block, task, layer.Tasks.Zip(layer.RatioOfMeans[row]).ToDictionary(pair => pair.First, pair => pair.Second)));
}
