// Axes: N = examples, L = tokens of the longest text.

using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Batches of one task each; which task, is drawn by the tasks' sampling ratios. A task's examples are shuffled, and anew when all have
/// been drawn.
/// </summary>
/// <param name="sets">The tasks with their examples, at least one in each.</param>
/// <param name="inputs">Makes tensors of pictures.</param>
/// <param name="batchSize">Examples of a batch; a task with fewer has smaller batches.</param>
/// <param name="maskedFraction">Part of a text's tokens that are masked where masked tokens are to be found; at least one is.</param>
/// <param name="seed">The seed.</param>
/// <param name="device">Where the batches lie.</param>
internal sealed class GeneralistBatches(
    IReadOnlyList<GeneralistTaskExamples> sets,
    GeneralistInputs inputs,
    int batchSize,
    double maskedFraction,
    int seed,
    Device device
) : IBatchSource<GeneralistBatch>
{
    // What is masked in data that are measured is the same each time, and not what an epoch masks.
    private const int MeasuringStream = -3;

    /// <inheritdoc/>
    public int? BatchesPerEpoch => sets.Sum(set => (set.Examples.Count + batchSize - 1) / batchSize);

    /// <inheritdoc/>
    public IEnumerable<GeneralistBatch> ReadEpoch(int epoch, CancellationToken cancellationToken)
    {
        var random = SeededRandom.Create(seed, epoch);
        var orders = sets.Select(_ => new Queue<int>()).ToArray();
        for (var batch = 0; batch < BatchesPerEpoch; batch++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var task = Draw(random);
            yield return Make(sets[task], Next(orders[task], sets[task].Examples.Count, random), random);
        }
    }

    /// <summary>As many batches as are wanted, from as many epochs as it takes.</summary>
    public IEnumerable<GeneralistBatch> ReadEpochs(int batches, CancellationToken cancellationToken) =>
        Enumerable.Range(0, batches).SelectMany(epoch => ReadEpoch(epoch, cancellationToken)).Take(batches);

    /// <summary>All examples in their order, task by task.</summary>
    public IEnumerable<GeneralistBatch> InOrder(CancellationToken cancellationToken)
    {
        var random = SeededRandom.Create(seed, MeasuringStream);
        foreach (var set in sets)
        {
            for (var start = 0; start < set.Examples.Count; start += batchSize)
            {
                cancellationToken.ThrowIfCancellationRequested();
                yield return Make(set, [.. Enumerable.Range(start, Math.Min(batchSize, set.Examples.Count - start))], random);
            }
        }
    }

    private int Draw(Random random)
    {
        var place = random.NextDouble() * sets.Sum(set => set.Task.SamplingRatio);
        for (var task = 0; task < sets.Count - 1; task++)
        {
            place -= sets[task].Task.SamplingRatio;
            if (place < 0)
                return task;
        }
        return sets.Count - 1;
    }

    private int[] Next(Queue<int> order, int count, Random random)
    {
        if (order.Count == 0)
        {
            int[] fresh = [.. Enumerable.Range(0, count)];
            random.Shuffle(fresh);
            foreach (var example in fresh)
                order.Enqueue(example);
        }
        return [.. Enumerable.Range(0, Math.Min(batchSize, order.Count)).Select(_ => order.Dequeue())];
    }

    private GeneralistBatch Make(GeneralistTaskExamples set, int[] chosen, Random random)
    {
        using var scope = NewDisposeScope();
        var (task, examples) = (set.Task, Array.ConvertAll(chosen, index => set.Examples[index]));
        var pictures = inputs.ToTensor(task, examples, device);
        if (task.Kind.IsRetrieval())
        {
            var (texts, owners) = Distinct(examples);
            return new GeneralistBatch(task, pictures, texts: null, PaddedTexts.Create(texts, device), tensor(owners, device: device));
        }

        var candidates = PaddedTexts.Create(set.Candidates, device);
        var read =
            task.Kind.InputModality() == TokenModality.Text || task.Kind.IsCaption()
                ? PaddedTexts.Create([.. examples.Select(example => example.Text!)], device)
                : null;
        if (!task.Kind.PredictsTokens())
            return new GeneralistBatch(
                task, pictures, read, candidates, tensor(Array.ConvertAll(examples, example => (long)example.Label), device: device));

        var hidden_NL = task.Kind == GeneralistTaskKind.MaskedLanguageModel ? Hide(examples, (int)read!.Ids_NL.shape[1], random) : null;
        var labels_NL = where(hidden_NL ?? read!.Mask_NL, read!.Ids_NL, FilledLike(read.Ids_NL, GeneralistBatch.NotAsked));
        return new GeneralistBatch(task, pictures, read, candidates, labels_NL, hidden_NL);
    }

    private Tensor Hide(GeneralistExample[] examples, int length, Random random)
    {
        var hidden = new bool[examples.Length * length];
        for (var example = 0; example < examples.Length; example++)
        {
            var words = Math.Max(1, examples[example].Text!.Length - 1);   // not the end
            for (var word = 0; word < words; word++)
                hidden[(example * length) + word] = random.NextDouble() < maskedFraction;
            if (!hidden.AsSpan(example * length, words).Contains(true))
                hidden[(example * length) + random.Next(words)] = true;
        }
        return tensor(hidden, [examples.Length, length], device: device);
    }

    // The texts of a batch, each once: a picture's own text must not be among the wrong ones.
    private static (List<int[]> Texts, long[] Owners) Distinct(GeneralistExample[] examples)
    {
        var (texts, places) = (new List<int[]>(), new Dictionary<string, long>());
        var owners = Array.ConvertAll(examples, example =>
        {
            var key = string.Join(' ', example.Text!);
            if (places.TryAdd(key, texts.Count))
                texts.Add(example.Text!);
            return places[key];
        });
        return (texts, owners);
    }
}
