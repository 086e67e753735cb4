using Microsoft.ML.Data;

namespace Estimators.Tests.Support;

/// <summary>A tiny image whose label is a key without names.</summary>
public sealed class NamelessKeyRow
{
    [VectorType(3, 8, 8)]
    public float[] Features { get; set; } = [];

    [KeyType(4)]
    public uint Label { get; set; }
}
