using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>A task and its examples.</summary>
/// <param name="Task">The task.</param>
/// <param name="Candidates">The tokens of its class names, or all tokens of the vocabulary; empty where texts of the batch are the
/// candidates.</param>
/// <param name="Examples">The examples.</param>
internal sealed record GeneralistTaskExamples(
    GeneralistTask Task, IReadOnlyList<int[]> Candidates, IReadOnlyList<GeneralistExample> Examples);
