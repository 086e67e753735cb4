namespace Benchmarks.Device;

/// <summary>What one piece of work takes on a device.</summary>
/// <param name="Name">What is done, as <c>what/size</c>.</param>
/// <param name="Milliseconds">Median time; null where it did not run.</param>
/// <param name="TeraFlops">10¹² floating-point operations a second of the matrix products, two a multiply-add; null where other things
/// than products bound it, or it did not run.</param>
/// <param name="ItemsPerSecond">Tokens or images a second; null where it did not run.</param>
/// <param name="Items">What is counted: tokens or images.</param>
/// <param name="Error">Why it did not run; null where it did.</param>
internal sealed record DeviceFigure(
    string Name, double? Milliseconds, double? TeraFlops, double? ItemsPerSecond, string Items, string? Error = null);
