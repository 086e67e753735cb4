using System.Globalization;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Suits a copy of a model to a task by training its prompts, &lt;SPE&gt;, LayerNorms and linear head alone.</summary>
/// <param name="host">The model's.</param>
/// <param name="scorer">The model.</param>
/// <param name="options">How; settled.</param>
/// <param name="seed">The seed of prompts and order.</param>
internal sealed class PromptTuner(IHost host, GeneralistScorer scorer, PromptTuningOptions options, int seed)
{
    private string Length =>
        options.MaxSteps is { } steps ? string.Create(CultureInfo.InvariantCulture, $"{steps:n0} steps") : $"{options.Epochs} epochs";

    /// <summary>Tunes.</summary>
    /// <param name="task">The task, with its class names if it is a classification.</param>
    /// <param name="examples">Its examples.</param>
    public (Generalist Tuned, TrainingResult Result) Run(GeneralistTask task, IReadOnlyList<GeneralistExample> examples)
    {
        using var channel = host.Start("TunePrompts");
        using var generator = new GeneratorScope(seed, scorer.Device);
        using var threads = new ThreadScope(options.Threads);
        using var inference = torch.inference_mode(false);
        var tuned = scorer.Use(model =>
            PromptDelta.Extend(
                model, options.Prompts, options.ClassificationHead && task.Kind.IsClassification() ? task : null, scorer.Device));
        try
        {
            foreach (var (name, parameter) in tuned.named_parameters())
                parameter.requires_grad = PromptDelta.IsTuned(name);
            var batches = scorer.BatchesOf(scorer.SetOf(task, examples), options.BatchSize!.Value, seed);
            var objective = new GeneralistObjective(
                tuned, options.LabelSmoothing!.Value, options.BalanceLossWeight ?? GeneralistObjective.UsualBalanceLossWeight);
            var loop = new TrainingLoop<GeneralistBatch>(tuned, objective.ComputeLoss, options);
            using var cancellation = new HostCancellation(host, options.CancellationToken);
            var trained = tuned.parameters().Where(parameter => parameter.requires_grad).Sum(parameter => parameter.numel());
            channel.Info(
                MessageSensitivity.None,
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"Tuning {trained:n0} of {tuned.Config.GetCost().Parameters:n0} parameters for task '{task.Name}' on "
                        + $"{examples.Count:n0} examples; {Length}."));
            var result = loop.Run(cancellation.Watch(batches), progress: options.Progress, cancellationToken: cancellation.Token);
            foreach (var parameter in tuned.parameters())
                parameter.requires_grad = true;
            return (tuned, result);
        }
        catch
        {
            tuned.Dispose();
            throw;
        }
        finally
        {
            TorchRuntime.ReleaseFreedMemory();
        }
    }
}
