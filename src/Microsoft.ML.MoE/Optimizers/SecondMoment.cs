namespace Microsoft.ML.MoE.Optimizers;

/// <summary>How finely the optimizer of a table keeps the running mean of squared gradients.</summary>
public enum SecondMoment
{
    /// <summary>A mean for every number, as in AdamW.</summary>
    PerElement,

    /// <summary>One for a row, of the mean over its numbers: half of the optimizer's memory, and a third less traffic.</summary>
    PerRow,
}
