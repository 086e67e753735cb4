using System.Text.Json;

namespace Benchmarks;

/// <summary>How results are written.</summary>
internal static class JsonFormat
{
    public static JsonSerializerOptions Options { get; } =
        new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };
}
