namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>A clock that goes when it is told to.</summary>
internal sealed class ManualClock : TimeProvider
{
    private TimeSpan now;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public void Advance(TimeSpan time) => now += time;

    public override long GetTimestamp() => now.Ticks;
}
