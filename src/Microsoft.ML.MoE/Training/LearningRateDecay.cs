namespace Microsoft.ML.MoE.Training;

/// <summary>How the learning rate falls from its peak to its final value.</summary>
public enum LearningRateDecay
{
    /// <summary>Half a cosine wave: slow, fast, slow. SGDR without restarts, arXiv 1608.03983, equation 5.</summary>
    Cosine,

    /// <summary>A straight line.</summary>
    Linear,

    /// <summary>Not at all: the peak rate stays, and the final rate has no effect.</summary>
    Constant,
}
