namespace Microsoft.ML.MoE.Tests.House;

#pragma warning disable IDE1006   // a name as it should not be

/// <summary>What a public type of ours must not have.</summary>
internal sealed unsafe class ForCSharpAlone
{
    private static int first;

    public required int Needed { get; init; }

    public static int take => first;

    public static void Take(ReadOnlySpan<int> values) => first = values.Length;

    public static void TakeMany(Action<Span<int>> lists) => lists([]);

    public static void TakeAll(params IReadOnlyList<int> values) => first = values.Count;

    public static void Change(ref int value) => value = first;

    public static ref int First() => ref first;

    public static int* Address() => null;

    public static int Sum(int a, int b, int c, int d, int e, int f, int g, int h) => a + b + c + d + e + f + g + h;
}
