namespace MillionExperts;

/// <summary>How a training stood.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Loss">Mean training loss since the point before.</param>
/// <param name="TokensPerSecond">Speed since the point before.</param>
internal sealed record CurvePoint(int Step, double Loss, double TokensPerSecond);
