namespace GeneralistSample;

/// <summary>One training of the comparison of routers.</summary>
/// <param name="Router">What chose the experts; <see cref="RouterComparison.NoExperts"/> where there were none.</param>
/// <param name="Seed">Seed of weights and order.</param>
/// <param name="Steps">Steps of the training.</param>
/// <param name="Parameters">Parameters of the model.</param>
/// <param name="Scores">Metrics of all tasks that the model serves.</param>
/// <param name="Interference">How the tasks get in each other's way in the blocks with experts, and in the same blocks without; null where
/// it was not measured.</param>
/// <param name="Activation">Which experts the tokens of each task go to; null without experts.</param>
internal sealed record RouterRun(
    string Router, int Seed, int Steps, long Parameters, IReadOnlyList<TaskScore> Scores,
    IReadOnlyList<InterferenceRow>? Interference, IReadOnlyList<ActivationRow>? Activation);
