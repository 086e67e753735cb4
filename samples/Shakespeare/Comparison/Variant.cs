using Microsoft.ML.MoE.Models;

namespace Shakespeare.Comparison;

/// <summary>A model of the comparison.</summary>
/// <param name="Name">Its name in the table.</param>
/// <param name="Config">Its shape.</param>
/// <param name="LearningRate">The highest learning rate it is trained with.</param>
internal sealed record Variant(string Name, LanguageModelConfig Config, double LearningRate);
