using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;

namespace Microsoft.ML;

/// <summary>
/// Adds <see cref="MoE.Estimators.UniPerceiverGeneralist"/> to <c>mlContext.Transforms</c>, and to <c>mlContext.Data</c> what puts the data
/// of several tasks together.
/// </summary>
public static class UniPerceiverGeneralistCatalog
{
    /// <summary>Trains one model for several tasks.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">Tasks, columns, architecture, training. Copied: later changes have no effect.</param>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public static UniPerceiverGeneralist UniPerceiverGeneralist(this TransformsCatalog catalog, UniPerceiverGeneralist.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(options);
        return new UniPerceiverGeneralist(catalog.GetEnvironment(), options);
    }

    /// <summary>
    /// Puts the rows of several data views one after the other, with a column "Task" that names the view. A row lacks the columns that only
    /// other views have: its text is empty there, its picture or key missing, its number, or all of its vector, NaN; 0 where the type has
    /// no NaN. Nothing is copied.
    /// </summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="tasks">The name of each task and its data, at least one. Columns of the same name must have the same type, and what
    /// they say of their values must not differ: names of keys in all or none, and the same; other annotations the same where they
    /// are.</param>
    /// <exception cref="ArgumentException">There is no task, or two have the same name, or columns do not go together.</exception>
    public static IDataView CombineTasks(this DataOperationsCatalog catalog, params (string Task, IDataView Data)[] tasks) =>
        catalog.CombineTasks("Task", tasks);

    /// <summary>Puts the rows of several data views one after the other, with a column that names the view.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="taskColumnName">The name of that column.</param>
    /// <param name="tasks">The name of each task and its data, at least one. Columns of the same name must have the same type, and what
    /// they say of their values must not differ: names of keys in all or none, and the same; other annotations the same where they
    /// are.</param>
    /// <exception cref="ArgumentException">There is no task, or two have the same name, or columns do not go together.</exception>
    public static IDataView CombineTasks(
        this DataOperationsCatalog catalog, string taskColumnName, params (string Task, IDataView Data)[] tasks)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentException.ThrowIfNullOrWhiteSpace(taskColumnName);
        ArgumentNullException.ThrowIfNull(tasks);
        if (tasks.Length == 0
            || tasks.Any(task => string.IsNullOrWhiteSpace(task.Task) || task.Data is null)
            || tasks.DistinctBy(task => task.Task).Count() != tasks.Length)
            throw new ArgumentException(
                $"The tasks are [{string.Join(", ", tasks.Select(task => task.Task))}]; at least one is wanted, each with data and a name "
                    + "of its own.",
                nameof(tasks));
        return new TaskDataView(catalog.GetEnvironment(), taskColumnName, [.. tasks]);
    }
}
