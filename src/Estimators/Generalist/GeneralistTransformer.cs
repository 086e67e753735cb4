using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;
using TorchSharp;

[assembly: LoadableClass(
    typeof(GeneralistTransformer), null, typeof(SignatureLoadModel), "MoE generalist", GeneralistFormat.LoaderSignature)]

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// A trained model of several tasks. It adds no columns itself: <see cref="ForTask(string)"/> gives the transformer of a task.
/// </summary>
/// <remarks>Transforming on several threads is safe; the model itself serves one caller at a time.</remarks>
public sealed class GeneralistTransformer : ITransformer, IDisposable
{
    // Which rows are looked at has nothing to do with the order in which they come.
    private const int ChoiceStream = -4;

    private readonly IHost host;

    internal GeneralistTransformer(
        IHostEnvironment environment,
        GeneralistScorer scorer,
        IReadOnlyList<GeneralistTask> tasks,
        GeneralistColumns columns,
        GeneralistSummary? training)
    {
        host = environment.Register(nameof(GeneralistTransformer));
        (Scorer, Tasks, Columns, Training) = (scorer, tasks, columns, training);
    }

    /// <summary>The network, owned by the transformer.</summary>
    public Generalist Model => Scorer.Model;

    /// <summary>What turns text into the network's tokens.</summary>
    public TextTokenizer Tokenizer => Scorer.Tokenizer;

    /// <summary>The tasks that it was trained for, with the names of their classes in the order of the keys.</summary>
    public IReadOnlyList<GeneralistTask> Tasks { get; }

    /// <summary>How it was trained. Saved with the model.</summary>
    public GeneralistSummary? Training { get; }

    /// <summary>
    /// What happened in each epoch of the training: mean losses, learning rate, examples per second, and the result on the validation data.
    /// Saved with the model.
    /// </summary>
    public IReadOnlyList<EpochSummary> History => Training?.Training.Epochs ?? [];

    bool ITransformer.IsRowToRowMapper => false;

    internal GeneralistScorer Scorer { get; }

    internal GeneralistColumns Columns { get; }

    /// <summary>The transformer of a task; see <see cref="GeneralistTaskTransformer"/> for what it adds. It shares the model.</summary>
    /// <param name="name">The name of one of <see cref="Tasks"/>.</param>
    /// <exception cref="ArgumentException">There is no such task.</exception>
    public GeneralistTaskTransformer ForTask(string name) =>
        Open(
            Tasks.FirstOrDefault(task => task.Name == name)
                ?? throw new ArgumentException(
                    $"There is no task '{name}'; those of the model are [{string.Join(", ", Tasks.Select(task => task.Name))}].",
                    nameof(name)));

    /// <summary>
    /// The transformer of a task that the model was not trained for, or of one of its tasks with other class names: no training. Where
    /// experts are chosen by task, only tasks of the model can be asked.
    /// </summary>
    /// <remarks>
    /// A linear head from <see cref="TunePrompts"/> counts for classifications of its kind that ask for its classes, all or some of them in
    /// any order; where one class is new to it the cosines alone decide.
    /// </remarks>
    /// <param name="task">The task, with the names of its classes if it is a classification.</param>
    /// <exception cref="ArgumentException">
    /// A classification has no class names, or some that are the same to the model (it reads the first
    /// <see cref="GeneralistConfig.TextLength"/> − 1 tokens), or the task or its attributes are not among those that the model knows, or it
    /// asks for images or videos of a model that has learned none.
    /// </exception>
    public GeneralistTaskTransformer ForTask(GeneralistTask task)
    {
        var transformer = Open(task);
        Scorer.Texts.RequireDistinctClasses(task);
        return transformer;
    }

    /// <summary>
    /// The transformer of a task as it was saved: that of an earlier version may have classes which the model cannot tell.
    /// </summary>
    internal GeneralistTaskTransformer Open(GeneralistTask task)
    {
        ArgumentNullException.ThrowIfNull(task);
        task.Validate();
        if (task.Kind.IsClassification() && task.ClassNames is null)
            throw new ArgumentException(
                $"{nameof(GeneralistTask.ClassNames)} of task '{task.Name}' is null; the names of the classes to choose among are wanted.",
                nameof(task));
        if (task.Kind.InputModality() != TokenModality.Text && Scorer.Inputs.Of(task) is null)
            throw new ArgumentException(
                $"Task '{task.Name}' is {task.Kind}, and the model has learned no pictures of modality {task.Kind.InputModality()}.",
                nameof(task));
        Scorer.Use(model =>
        {
            model.RequireRoles(task.Roles);
            return true;
        });
        return new GeneralistTaskTransformer(host, this, task);
    }

    /// <summary>
    /// Suits a copy of the model to a task, of its own or a new one, by training a few prompt vectors in each block, &lt;SPE&gt;, the
    /// LayerNorms, and for a classification a linear head beside the cosines (<see cref="PromptTuningOptions.ClassificationHead"/>); all
    /// else stays as it is (Uni-Perceiver, arXiv 2112.01522, appendix C, without its separate prompts for targets). A few dozen examples
    /// do.
    /// </summary>
    /// <param name="task">The task, with the names of its classes if it is a classification.</param>
    /// <param name="data">Its rows, in the columns of the training; a task column is not read.</param>
    /// <param name="options">How; null for the defaults.</param>
    /// <returns>A model for that task, which <see cref="SavePrompts"/> writes as a small file. The model itself is not changed.</returns>
    /// <exception cref="ArgumentException">An option is out of range, the model does not know the task (see
    /// <see cref="ForTask(GeneralistTask)"/>), or a column is missing.</exception>
    /// <exception cref="InvalidOperationException">There is no usable row, a row has a class that the task lacks, or the model has prompts
    /// already.</exception>
    /// <exception cref="OperationCanceledException">The training was cancelled.</exception>
    public GeneralistTransformer TunePrompts(GeneralistTask task, IDataView data, PromptTuningOptions? options = null)
    {
        options = (options ?? new()).Copy();
        options.Validate();
        var chosen = options.Settle();
        var seed = host.SelectSeed(options.Seed, continued: null);
        RequireNoPrompts();
        var (examples, _, unused, cut) = ForTask(task).ReadAll(data, options.CancellationToken);
        using var disposeScope = torch.NewDisposeScope();   // the scorer takes the weights out of it
        var (tuned, result) = new PromptTuner(host, Scorer, options, seed).Run(task, examples);
        var summary = new GeneralistSummary(result, new Dictionary<string, int> { [task.Name] = examples.Count }, unused, cut, seed)
        {
            Options = options.Describe(),
            Chosen = chosen,
        };
        return With(tuned, task, summary);
    }

    /// <summary>
    /// Writes what <see cref="TunePrompts"/> has trained, for <see cref="LoadPrompts"/>: a safetensors file of prompts, &lt;SPE&gt;,
    /// LayerNorms and linear head.
    /// </summary>
    /// <param name="path">The file; replaced if it exists.</param>
    /// <exception cref="InvalidOperationException">The model has no prompts.</exception>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void SavePrompts(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        if (Model.Config.Prompts == 0)
            throw new InvalidOperationException($"The model has no prompts to save; {nameof(TunePrompts)} gives one that has.");
        Scorer.Use(model =>
        {
            AtomicFile.Write(path, temporary =>
            {
                using var file = File.Create(temporary);
                PromptDelta.Write(file, model, Tasks[0]);
            });
            return true;
        });
    }

    /// <summary>The model with the prompts of a file, for their task.</summary>
    /// <param name="path">What <see cref="SavePrompts"/> wrote of a copy of this model.</param>
    /// <returns>A copy of the model; this one is not changed.</returns>
    /// <exception cref="InvalidDataException">The file is something else, or its prompts were made for another model.</exception>
    /// <exception cref="InvalidOperationException">The model has prompts already.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public GeneralistTransformer LoadPrompts(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        RequireNoPrompts();
        using var disposeScope = torch.NewDisposeScope();   // the scorer takes the weights out of it
        using var file = File.OpenRead(path);
        var (tuned, task) = Scorer.Use(model => PromptDelta.Read(file, file.Length, model, Scorer.Device));
        return With(tuned, task, training: null);
    }

    /// <summary>
    /// Measures how much tasks get in each other's way, block by block (<see cref="TaskInterference"/>). The weights stay as they are.
    /// </summary>
    /// <param name="tasks">Tasks of the model and rows of each, in the columns of the training; a task column is not read.</param>
    /// <param name="batches">Batches of each task whose gradients are compared, at least 2. Default 16. Rows that are too few are used
    /// again.</param>
    /// <param name="batchSize">Rows of a batch, at least 1. Default 16.</param>
    /// <param name="seed">Decides which rows are taken.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="ArgumentException">A number is out of range, there is no such task, or a column is missing.</exception>
    /// <exception cref="InvalidOperationException">A task has no usable row.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public IReadOnlyList<LayerInterference> MeasureInterference(
        IReadOnlyList<(string Task, IDataView Data)> tasks,
        int batches = 16,
        int batchSize = 16,
        int seed = 0,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(tasks);
        OptionChecks.AtLeast(2, batches, nameof(batches));
        OptionChecks.AtLeast(1, batchSize, nameof(batchSize));
        var sets = tasks
            .Select(task => (Transformer: ForTask(task.Task), task.Data))
            .Select(pair => Scorer.SetOf(pair.Transformer.Task, pair.Transformer.ReadAll(pair.Data, cancellationToken).Examples))
            .ToArray();
        return Scorer.Use(model =>
            TaskInterference.Measure(
                model,
                [.. sets.Select(set => (set.Task.Name, Scorer.BatchesOf(set, batchSize, seed).ReadEpochs(batches, cancellationToken)))],
                cancellationToken));
    }

    /// <summary>
    /// Measures which experts the tokens of tasks go to, by block, gate and role of the tokens (<see cref="ExpertActivation"/>): the weight
    /// of each expert, and how often it was chosen. Where experts are chosen by attributes, task or modality, the numbers do not depend on
    /// the rows.
    /// </summary>
    /// <param name="tasks">Tasks of the model and rows of each, in the columns of the training; a task column is not read.</param>
    /// <param name="rows">Rows of each task that are measured at most, at least 1. Default 256. All of a task's rows are read and kept
    /// meanwhile: take few of a large view before.</param>
    /// <param name="seed">Decides which rows are taken, and which words are masked.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="ArgumentException">A number is out of range, there is no task, or none of that name, or a column is
    /// missing.</exception>
    /// <exception cref="InvalidOperationException">The model has no experts, or a task has no usable row.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public IReadOnlyList<GateActivation> MeasureExpertActivation(
        IReadOnlyList<(string Task, IDataView Data)> tasks, int rows = 256, int seed = 0, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(tasks);
        if (tasks.Count == 0)
            throw new ArgumentException("There is no task; at least one is wanted, with its rows.", nameof(tasks));
        OptionChecks.AtLeast(1, rows, nameof(rows));
        var sets = tasks
            .Select(task => (Transformer: ForTask(task.Task), task.Data))
            .Select(pair => Scorer.SetOf(pair.Transformer.Task, Some(pair.Transformer.ReadAll(pair.Data, cancellationToken).Examples)))
            .ToArray();
        return Scorer.Use(model =>
            ExpertActivation.Measure(
                model,
                sets.SelectMany(set => Scorer.BatchesOf(set, Scorer.Prediction.BatchSize, seed).InOrder(cancellationToken)),
                cancellationToken));

        GeneralistExample[] Some(IReadOnlyList<GeneralistExample> examples)
        {
            var all = examples.ToArray();
            SeededRandom.Create(seed, ChoiceStream).Shuffle(all);
            return all[..Math.Min(rows, all.Length)];
        }
    }

    /// <summary>The data as they are.</summary>
    public IDataView Transform(IDataView input)
    {
        host.CheckValue(input, nameof(input));
        return new UnchangedDataView(this, input);
    }

    /// <summary>The columns that <see cref="Transform"/> gives: those before it.</summary>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        host.CheckValue(inputSchema, nameof(inputSchema));
        return inputSchema;
    }

    /// <summary>Frees the model. Using it, or a task's transformer, afterwards throws <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose() => Scorer.Dispose();

    private void RequireNoPrompts()
    {
        if (Model.Config.Prompts > 0)
            throw new InvalidOperationException(
                $"The model has {Model.Config.Prompts} prompts already: prompts are trained for, and put into, the model without.");
    }

    private GeneralistTransformer With(Generalist tuned, GeneralistTask task, GeneralistSummary? training) =>
        new(host, new GeneralistScorer(tuned, Tokenizer, Scorer.Inputs, Scorer.Prediction, Scorer.Device), [task], Columns, training);

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) =>
        throw new InvalidOperationException(
            $"A {nameof(GeneralistTransformer)} adds no columns; {nameof(ForTask)} gives the transformer of a task.");

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        host.CheckValue(ctx, nameof(ctx));
        Scorer.Use(model =>
        {
            GeneralistFormat.Save(ctx, GeneralistDocument.From(Scorer, Tasks, Columns), Scorer.Tokenizer, model, Training);
            return true;
        });
    }

    // ML.NET finds this by its signature when it loads a model zip.
    private static GeneralistTransformer Create(IHostEnvironment environment, ModelLoadContext context)
    {
        Contracts.CheckValue(environment, nameof(environment));
        environment.CheckValue(context, nameof(context));
        var device = environment.SelectDevice();   // loads libtorch: before anything of it is touched
        using var disposeScope = torch.NewDisposeScope();   // the scorer takes the weights out of it
        var (document, scorer, training) = GeneralistFormat.Load(environment, context, device);
        return new GeneralistTransformer(environment, scorer, document.Tasks, document.Columns, training);
    }
}
