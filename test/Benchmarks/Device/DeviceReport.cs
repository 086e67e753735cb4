namespace Benchmarks.Device;

/// <summary>All figures of one device.</summary>
/// <param name="Device">The device's name, as torch says it.</param>
/// <param name="Machine">What the figures depend on besides.</param>
/// <param name="Sizes"><c>full</c>, or <c>rehearsal</c>: sizes that show that everything runs, not how fast.</param>
/// <param name="Figures">The figures.</param>
internal sealed record DeviceReport(string Device, string Machine, string Sizes, IReadOnlyList<DeviceFigure> Figures);
