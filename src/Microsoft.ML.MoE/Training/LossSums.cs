using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Training;

/// <summary>Losses, gradient norms and expert load of several updates, added up.</summary>
internal sealed record LossSums
{
    public int Steps { get; set; }

    public long Samples { get; set; }

    public double Loss { get; set; }

    public double Auxiliary { get; set; }

    public double Norm { get; set; }

    public bool HasNorm { get; set; }

    public IReadOnlyList<ExpertLoad>? Load { get; set; }

    public void Add(int samples, double main, double auxiliary, double? norm)
    {
        Steps++;
        Samples += samples;
        Loss += main * samples;
        Auxiliary += auxiliary * samples;
        Norm += norm ?? 0;
        HasNorm |= norm is not null;
    }

    public void Add(LossSums other)
    {
        Steps += other.Steps;
        Samples += other.Samples;
        Loss += other.Loss;
        Auxiliary += other.Auxiliary;
        Norm += other.Norm;
        HasNorm |= other.HasNorm;
        if (other.Load is not null)
            AddLoad(other.Load);
    }

    public void AddLoad(IReadOnlyList<ExpertLoad> load) =>
        Load = Load is null ? load : Load.Zip(load, (ours, theirs) => ours.Add(theirs)).ToArray();

    public TrainingAverages Average(TimeSpan elapsed) =>
        new(Steps, Samples, Loss / Samples, Auxiliary / Samples, HasNorm ? Norm / Steps : null, Samples / elapsed.TotalSeconds, Load);
}
