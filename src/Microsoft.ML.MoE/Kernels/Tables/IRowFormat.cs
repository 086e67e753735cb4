using System.Runtime.Intrinsics;

namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>How the numbers of a table's rows are stored; what is computed with them is float32.</summary>
internal unsafe interface IRowFormat
{
    /// <summary>Bytes of a number.</summary>
    static abstract int Bytes { get; }

    /// <summary>Numbers [i, i + 16) of a row.</summary>
    static abstract Vector512<float> Load(byte* row, int i);

    /// <summary>Number i of a row.</summary>
    static abstract float LoadOne(byte* row, int i);

    /// <summary>Overwrites numbers [i, i + 16) of a row.</summary>
    /// <param name="row">The row.</param>
    /// <param name="i">The first number.</param>
    /// <param name="values">The new values.</param>
    /// <param name="random">Random bits for formats that round at random.</param>
    static abstract void Store(byte* row, int i, Vector512<float> values, Vector512<uint> random);

    /// <summary>Overwrites number i of a row.</summary>
    static abstract void StoreOne(byte* row, int i, float value, uint random);
}
