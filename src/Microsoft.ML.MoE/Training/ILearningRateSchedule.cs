namespace Microsoft.ML.MoE.Training;

/// <summary>The learning rate as a pure function of the step.</summary>
internal interface ILearningRateSchedule
{
    /// <summary>The learning rate of one update.</summary>
    /// <param name="step">How many updates came before it, from 0.</param>
    double RateAt(int step);
}
