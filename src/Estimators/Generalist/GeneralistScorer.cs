// Axes: N = rows, M = candidates, V = vocabulary, L = tokens of a text, D = model width.

using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Generation;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Owns the model and runs it, for one caller at a time however many threads ask. Experts are merged, and class names and the vocabulary
/// encoded, when they are first used; what was used last is kept.
/// </summary>
internal sealed class GeneralistScorer : IDisposable
{
    private const int MostCandidates = 16;   // tasks whose encoded class names are kept
    // Where a vocabulary is encoded, which takes its tokens times the model's width, no more than this are kept.
    private const int MostVocabularies = 2;

    private readonly Lock gate = new();
    private readonly MergedExperts? merged;
    private readonly RecentlyUsed<string, Tensor> candidates = new(kept => kept.Dispose());
    private bool disposed;

    public GeneralistScorer(
        Generalist model, TextTokenizer tokenizer, GeneralistInputs inputs, GeneralistPrediction prediction, Device device)
    {
        (Model, Inputs, Prediction, Device) = (model, inputs, prediction, device);
        Texts = new GeneralistTexts(tokenizer, model.Config.TextLength);
        merged = model.Config.Block.RoutingLevel.DependsOnData() ? null : new MergedExperts();
        model.eval();   // a caller of the model itself gets what scoring gets, without router noise

        // The caller may be inside a dispose scope of its own, which would take the weights with it.
        foreach (var tensor in model.parameters().Concat(model.buffers()))
            tensor.DetachFromDisposeScope();
    }

    /// <summary>Where the model lies.</summary>
    public Device Device { get; }

    /// <summary>The model.</summary>
    public Generalist Model { get; }

    /// <summary>What turns texts into its tokens.</summary>
    public GeneralistTexts Texts { get; }

    /// <summary>The tokenizer in front of it.</summary>
    public TextTokenizer Tokenizer => Texts.Tokenizer;

    /// <summary>How pictures become its input.</summary>
    public GeneralistInputs Inputs { get; }

    /// <summary>How it predicts.</summary>
    public GeneralistPrediction Prediction { get; }

    /// <summary>How often the model has been asked.</summary>
    public int ScoringCount { get; private set; }

    /// <summary>Probabilities of a task's classes, and representations, of rows that have an input.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public (float[][] Probabilities, float[][] Embeddings) Classify(GeneralistTask task, IReadOnlyList<GeneralistExample> examples) =>
        Use(model =>
        {
            using var scope = NewDisposeScope();
            var candidates_MD = Candidates(task);
            var inputs_ND = Encode(task, examples);
            return (Read(model.Classify(inputs_ND, candidates_MD, task).softmax(-1)), Read(inputs_ND));
        });

    /// <summary>Representations of pictures, as long as 1: the inner product of one with a text's is their cosine.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public float[][] EmbedPictures(GeneralistTask task, IReadOnlyList<GeneralistExample> examples) =>
        Use(_ =>
        {
            using var scope = NewDisposeScope();
            return Read(nn.functional.normalize(Encode(task, examples), dim: -1));
        });

    /// <summary>Representations of texts as targets of a task, as long as 1.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public float[][] EmbedTexts(GeneralistTask task, IReadOnlyList<GeneralistExample> examples) =>
        Use(model =>
        {
            using var scope = NewDisposeScope();
            return Read(nn.functional.normalize(EncodeTargets(task, [.. examples.Select(example => example.Text!)]), dim: -1));
        });

    /// <summary>Describes pictures.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public string[] Describe(GeneralistTask task, IReadOnlyList<GeneralistExample> examples) =>
        Use(model =>
        {
            using var scope = NewDisposeScope();
            var search = Search(task);
            var pictures = GeneralistObjective.EmbedPictures(model, task, Inputs.ToTensor(task, examples, Device)!);
            return search.Describe(pictures, Prediction.Beams, Prediction.MostTokens).Select(Tokenizer.Decode).ToArray();
        });

    /// <summary>Continues texts, one by one; of one that is too long the model reads the end.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public string[] Continue(GeneralistTask task, IReadOnlyList<string> texts) =>
        Use(model =>
        {
            using var scope = NewDisposeScope();
            var search = Search(task);
            return texts
                .Select(text => Tokenizer.Decode(search.Continue(Tokenizer.Encode(text), Prediction.Beams, Prediction.MostTokens)))
                .ToArray();
        });

    /// <summary>
    /// Fills in the masks of texts, each with the most probable token. All else stays as it is, however long a text is: what the model
    /// cannot read at once it reads in parts.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public string[] Fill(GeneralistTask task, IReadOnlyList<string> texts) =>
        Use(model =>
        {
            MaskedText[] masked = [.. texts.Select(text => new MaskedText(Texts, Prediction.Mask, text))];
            while (masked.Where(text => text.IsOpen).ToArray() is { Length: > 0 } open)
                Answer(task, open);
            return Array.ConvertAll(masked, text => text.Filled());
        });

    /// <summary>How well a task's examples are told, without merging of experts: as a training measures it.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public (ValidationResult Result, long Answers) Measure(
        GeneralistTask task,
        IReadOnlyList<GeneralistExample> examples,
        CancellationToken cancellationToken) =>
        Use(model =>
        {
            using var scope = NewDisposeScope();
            var batches = BatchesOf(SetOf(task, examples), Prediction.BatchSize, seed: 0);
            var answers = 0L;
            return (new GeneralistObjective(model).Evaluate(Count(batches.InOrder(cancellationToken)), cancellationToken), answers);

            IEnumerable<GeneralistBatch> Count(IEnumerable<GeneralistBatch> all)
            {
                foreach (var batch in all)
                {
                    answers += batch.Labels.NotEqualTo(GeneralistBatch.NotAsked).sum().ReadInt64();
                    yield return batch;
                }
            }
        });

    /// <summary>A task's examples with what it chooses among.</summary>
    public GeneralistTaskExamples SetOf(GeneralistTask task, IReadOnlyList<GeneralistExample> examples) =>
        new(task, Texts.CandidatesOf(task), examples);

    /// <summary>Batches of a task's examples.</summary>
    public GeneralistBatches BatchesOf(GeneralistTaskExamples set, int batchSize, int seed) =>
        new([set], Inputs, batchSize, Prediction.MaskedFraction, seed, Device);

    /// <summary>Does something with the model while nobody else does.</summary>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public T Use<T>(Func<Generalist, T> action)
    {
        lock (gate)
        {
            ObjectDisposedException.ThrowIf(disposed, typeof(GeneralistTransformer));
            using var noGrad = no_grad();
            ScoringCount++;
            Model.eval();
            return action(Model);
        }
    }

    /// <summary>Frees the model.</summary>
    public void Dispose()
    {
        lock (gate)
        {
            if (disposed)
                return;
            disposed = true;
            merged?.Dispose();
            candidates.Dispose();
            Model.Dispose();
            TorchRuntime.ReleaseFreedMemory();
        }
    }

    private Tensor Encode(GeneralistTask task, IReadOnlyList<GeneralistExample> examples)
    {
        var pictures = Inputs.ToTensor(task, examples, Device);
        var texts = pictures is null ? PaddedTexts.Create([.. examples.Select(example => example.Text!)], Device) : null;
        var sequence = pictures is null
            ? GeneralistObjective.EmbedInputs(Model, task, null, texts)
            : GeneralistObjective.EmbedPictures(Model, task, pictures);
        return Model.Encode(sequence, merged).Representation_ND();
    }

    private Tensor EncodeTargets(GeneralistTask task, IReadOnlyList<int[]> targets)
    {
        var texts = PaddedTexts.Create(targets, Device);
        return Model.Encode(Model.EmbedText(texts.Ids_NL, task.TargetRole, texts.Mask_NL), merged).Representation_ND();
    }

    // The class names of a task, or the vocabulary.
    private Tensor Candidates(GeneralistTask task)
    {
        // By what their encoding depends on: another task of the same attributes has the same.
        var names = (task.ClassNames ?? []).Select(name => $"{name.Length}:{name}");
        var key = $"{task.TargetRole.KeyAt(Model.Config.Block.RoutingLevel)}\n\n{string.Concat(names)}";
        return candidates.GetOrMake(key, task.ClassNames is null ? MostVocabularies : MostCandidates, () =>
        {
            using var scope = NewDisposeScope();
            return EncodeTargets(task, task.ClassNames is { } classes ? [.. classes.Select(Texts.Encode)] : Texts.Vocabulary())
                .clone()
                .DetachFromDisposeScope();
        });
    }

    // What stands for all that the vocabulary lacks has no text of its own, and is never an answer.
    private IEnumerable<int> NoWords => Tokenizer.UnknownId is { } unknown ? [unknown] : [];

    private DescriptionSearch Search(GeneralistTask task) => new(Model, task, Candidates(task), Tokenizer.SeparatorId, merged, NoWords);

    // The next tokens of texts that have masks.
    private void Answer(GeneralistTask task, MaskedText[] texts)
    {
        using var scope = NewDisposeScope();
        var windows = Array.ConvertAll(texts, text => text.NextWindow(Model.Config.TextLength - 1));
        var read = PaddedTexts.Create(
            [.. windows.Select(window => window.Tokens.Select(id => id ?? 0).Append(Tokenizer.SeparatorId).ToArray())], Device);
        var length = read.Ids_NL.shape[1];
        var hidden = new bool[read.Ids_NL.numel()];
        var asked = new List<long>();
        foreach (var (row, window) in windows.Index())
        {
            long[] places = [.. window.Tokens.Index().Where(token => token.Item is null).Select(token => (row * length) + token.Index)];
            foreach (var place in places)
                hidden[place] = true;
            asked.AddRange(places[..window.Asked]);
        }
        var hidden_NL = tensor(hidden, read.Ids_NL.shape, device: Device);
        var states_NLD = Model
            .Encode(Model.EmbedText(read.Ids_NL, task.InputRole, read.Mask_NL, hidden_NL), merged)
            .States_NLD.narrow(1, 1, length);
        var asked_RD = states_NLD.flatten(0, 1).index_select(0, tensor(asked.ToArray(), device: Device));
        var scores_RV = Model.Compare(asked_RD, Candidates(task), task.Kind).MaskedFill(NoAnswer_V(), double.NegativeInfinity);
        var answers = new Queue<int>(scores_RV.argmax(1).cpu().data<long>().ToArray().Select(id => (int)id));
        foreach (var (row, text) in texts.Index())
            text.Answer([.. Enumerable.Range(0, windows[row].Asked).Select(_ => answers.Dequeue())]);
    }

    // True for the tokens that no mask can stand for.
    private Tensor NoAnswer_V()
    {
        var excluded = new bool[Tokenizer.VocabularySize];
        foreach (var id in NoWords.Append(Tokenizer.SeparatorId))
            excluded[id] = true;
        return tensor(excluded, device: Device);
    }

    private static float[][] Read(Tensor rows_ND)
    {
        using var scope = NewDisposeScope();
        var all = rows_ND.cpu().contiguous().data<float>().ToArray();
        return [.. all.Chunk((int)rows_ND.shape[1])];
    }
}
