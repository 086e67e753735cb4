namespace Benchmarks.Cost;

/// <summary>What a step of the sparse layer costs at one size.</summary>
/// <param name="Experts">Number of experts.</param>
/// <param name="Tokens">Tokens of the step.</param>
/// <param name="StepMs">Median time of a forward and backward pass in milliseconds.</param>
/// <param name="MicrosecondsPerToken">The same per token.</param>
/// <param name="WeightMegabytes">What the layer's weights take, 10⁶ bytes; their gradients take the same again.</param>
/// <param name="StepMegabytes">How much larger the process was at its largest than before the first step, 10⁶ bytes: gradients, what is
/// kept for the backward pass, temporaries.</param>
internal sealed record CostPoint(
    int Experts, int Tokens, double StepMs, double MicrosecondsPerToken, double WeightMegabytes, double StepMegabytes)
{
    /// <summary>The point as a row of a table.</summary>
    public IEnumerable<(string Column, object? Value)> ToRow() =>
    [
        ("experts", Experts), ("tokens", Tokens), ("step ms", StepMs), ("microseconds per token", MicrosecondsPerToken),
        ("weight megabytes", WeightMegabytes), ("step megabytes", StepMegabytes),
    ];
}
