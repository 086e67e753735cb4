using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;

[assembly: LoadableClass(typeof(GeneralistTransformer), null, typeof(SignatureLoadModel), "MoE generalist", GeneralistFormat.LoaderSignature)]

namespace Microsoft.ML.MoE.Estimators;

/// <summary>A trained model of several tasks. It adds no columns itself: <see cref="ForTask(string)"/> gives the transformer of a task.</summary>
/// <remarks>Transforming on several threads is safe; the model itself serves one caller at a time.</remarks>
public sealed class GeneralistTransformer : ITransformer, IDisposable
{
    private readonly IHost host;

    internal GeneralistTransformer(IHostEnvironment environment, GeneralistScorer scorer, IReadOnlyList<GeneralistTask> tasks, GeneralistColumns columns, GeneralistSummary? training)
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

    /// <summary>What happened in each epoch of the training: mean losses, learning rate, examples per second, and the result on the validation data. Saved with the model.</summary>
    public IReadOnlyList<EpochSummary> History => Training?.Training.Epochs ?? [];

    bool ITransformer.IsRowToRowMapper => false;

    internal GeneralistScorer Scorer { get; }

    internal GeneralistColumns Columns { get; }

    /// <summary>The transformer of a task; see <see cref="GeneralistTaskTransformer"/> for what it adds. It shares the model.</summary>
    /// <param name="name">The name of one of <see cref="Tasks"/>.</param>
    /// <exception cref="ArgumentException">There is no such task.</exception>
    public GeneralistTaskTransformer ForTask(string name) =>
        ForTask(Tasks.FirstOrDefault(task => task.Name == name) ?? throw new ArgumentException($"There is no task '{name}'; those of the model are [{string.Join(", ", Tasks.Select(task => task.Name))}].", nameof(name)));

    /// <summary>
    /// The transformer of a task that the model was not trained for, or of one of its tasks with other class names: no training. Where experts are chosen by task, only tasks of the model can be
    /// asked.
    /// </summary>
    /// <param name="task">The task, with the names of its classes if it is a classification.</param>
    /// <exception cref="ArgumentException">
    /// A classification has no class names, or the task or its attributes are not among those that the model knows, or it asks for images or videos of a model that has learned none.
    /// </exception>
    public GeneralistTaskTransformer ForTask(GeneralistTask task)
    {
        ArgumentNullException.ThrowIfNull(task);
        task.Validate();
        if (task.Kind.IsClassification() && task.ClassNames is null)
            throw new ArgumentException($"{nameof(GeneralistTask.ClassNames)} of task '{task.Name}' is null; the names of the classes to choose among are wanted.", nameof(task));
        if (task.Kind.InputModality() != TokenModality.Text && Scorer.Inputs.Of(task) is null)
            throw new ArgumentException($"Task '{task.Name}' is {task.Kind}, and the model has learned no pictures of modality {task.Kind.InputModality()}.", nameof(task));
        Scorer.Use(model =>
        {
            model.RequireRoles(task.Roles);
            return true;
        });
        return new GeneralistTaskTransformer(host, this, task);
    }

    /// <summary>The data as they are.</summary>
    public IDataView Transform(IDataView input)
    {
        host.CheckValue(input, nameof(input));
        return input;
    }

    /// <summary>The columns that <see cref="Transform"/> gives: those before it.</summary>
    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema)
    {
        host.CheckValue(inputSchema, nameof(inputSchema));
        return inputSchema;
    }

    /// <summary>Frees the model. Using it, or a task's transformer, afterwards throws <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose() => Scorer.Dispose();

    IRowToRowMapper ITransformer.GetRowToRowMapper(DataViewSchema inputSchema) =>
        throw new InvalidOperationException($"A {nameof(GeneralistTransformer)} adds no columns; {nameof(ForTask)} gives the transformer of a task.");

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
        var (document, scorer, training) = GeneralistFormat.Load(environment, context, environment.SelectDevice());
        return new GeneralistTransformer(environment, scorer, document.Tasks, document.Columns, training);
    }
}
