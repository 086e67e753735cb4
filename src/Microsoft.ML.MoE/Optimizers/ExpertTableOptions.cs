using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>How tables with one row an expert are stored and trained. Decay rates and ε are those of the training.</summary>
public sealed record ExpertTableOptions
{
    /// <summary>The defaults.</summary>
    public ExpertTableOptions()
    {
    }

    /// <summary>A copy, of which an initializer may change some properties where a language has no <c>with</c>.</summary>
    /// <param name="original">What is copied.</param>
    public ExpertTableOptions(ExpertTableOptions original) => DeclaredFields.Copy(original, this);

    /// <summary>How the numbers are stored. Default: 32-bit floats.</summary>
    public TablePrecision Precision { get; init; }

    /// <summary>
    /// A learning rate of the tables' own, constant over the training, at least 0, as product-key memories are trained with (1e-3); null
    /// (default) to follow the training's schedule. Where the training's optimizer is not AdamW, its rates are not ones for the tables,
    /// which are always trained by AdamW: either this or <see cref="LearningRateScale"/> must be set then.
    /// </summary>
    public double? LearningRate { get; init; }

    /// <summary>
    /// What the schedule's learning rate is multiplied by, at least 0. Default 1. Without effect where <see cref="LearningRate"/> is set. A
    /// row takes part in few updates, and may want much larger ones than matrices do: try 4 to 32.
    /// </summary>
    public double LearningRateScale { get; init; } = 1;

    /// <summary>
    /// Decoupled weight decay, at least 0: a row shrinks by this times the learning rate in the updates that touch it, and in no others.
    /// Default 0.
    /// </summary>
    public double WeightDecay { get; init; }

    /// <summary>How finely squared gradients are averaged. Default: for every number.</summary>
    public SecondMoment SecondMoment { get; init; }

    /// <summary>What updates that do not touch a row mean for it. Default: nothing.</summary>
    public RowClock Clock { get; init; }

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    internal void Validate()
    {
        OptionChecks.Defined(Precision, nameof(Precision));
        if (LearningRate is { } rate)
            OptionChecks.AtLeast(0, rate, nameof(LearningRate));
        OptionChecks.AtLeast(0, LearningRateScale, nameof(LearningRateScale));
        OptionChecks.AtLeast(0, WeightDecay, nameof(WeightDecay));
        OptionChecks.Defined(SecondMoment, nameof(SecondMoment));
        OptionChecks.Defined(Clock, nameof(Clock));
    }

    /// <summary>Checks that the tables' learning rate is one for AdamW, which trains them whatever trains the rest.</summary>
    /// <param name="optimizer">What trains the rest.</param>
    /// <exception cref="ArgumentException">It is another optimizer's.</exception>
    internal void RequireRateBeside(OptimizerKind optimizer)
    {
        if (optimizer is not (OptimizerKind.AdamW or OptimizerKind.Muon) && LearningRate is null && LearningRateScale == 1)
        {
            throw new ArgumentException(
                $"Optimizer is {optimizer}, but tables of experts are always trained by {nameof(OptimizerKind.AdamW)}, for which "
                    + $"{optimizer}'s learning rate is not meant: set {nameof(LearningRate)} (1e-3, say) or {nameof(LearningRateScale)} "
                    + "of the tables "
                    + $"({nameof(ExpertTableOptions)}), or Optimizer to {nameof(OptimizerKind.AdamW)}.");
        }
    }

    /// <summary>Bytes of a table.</summary>
    internal long TableBytes(long rows, int width) => checked(rows * width * (Precision == TablePrecision.BFloat16 ? 2 : 4));

    /// <summary>Bytes of the moments of some tables with as many rows, and of the rows' clock.</summary>
    internal long OptimizerBytes(long rows, int width, int tables) =>
        checked((rows * sizeof(int)) + (tables * rows * ((long)width + (SecondMoment == SecondMoment.PerRow ? 1 : width)) * sizeof(float)));
}
