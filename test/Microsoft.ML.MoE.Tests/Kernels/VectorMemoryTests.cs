using System.Runtime.Intrinsics;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Kernels;

[TestClass]
[RequiresBFloat16]
public sealed unsafe class VectorMemoryTests
{
    [TestMethod]
    public void EveryBFloat16NumberReadsAsWhatItIs()
    {
        var halves = stackalloc ushort[VectorMemory.Count];
        for (var first = 0; first <= ushort.MaxValue; first += VectorMemory.Count)
        {
            for (var i = 0; i < VectorMemory.Count; i++)
                halves[i] = (ushort)(first + i);
            var numbers = VectorMemory.Load(halves, VectorMemory.Count);
            for (var i = 0; i < VectorMemory.Count; i++)
                Assert.AreEqual((uint)(first + i) << 16, BitConverter.SingleToUInt32Bits(numbers[i]));
        }
    }

    [TestMethod]
    public void NumbersAreRoundedAsTorchRoundsThem()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var random = new Random(1);
        float[] special =
        [
            0,
            -0f,
            1,
            float.MaxValue,
            float.MinValue,
            float.Epsilon,
            float.PositiveInfinity,
            float.NegativeInfinity,
            1 + (1f / 256),
            1 + (3f / 256),
            3.3895314e38f,
            3.4e38f,
        ];
        var numbers = special
            .Concat(
                Enumerable
                    .Range(0, 16 * 1000 - special.Length)
                    .Select(_ => BitConverter.UInt32BitsToSingle((uint)random.NextInt64(1L << 32))))
            .Where(number => !float.IsNaN(number))
            .ToArray();
        var expected = tensor(numbers).to_type(bfloat16).to_type(float32).data<float>().ToArray();
        fixed (float* source = numbers)
        {
            var halves = stackalloc ushort[VectorMemory.Count];
            for (var i = 0; i < numbers.Length; i += VectorMemory.Count)
            {
                var left = Math.Min(VectorMemory.Count, numbers.Length - i);
                VectorMemory.Store(VectorMemory.Load(source + i, left), halves, left);
                for (var j = 0; j < left; j++)
                    Assert.AreEqual(BitConverter.SingleToUInt32Bits(expected[i + j]), (uint)halves[j] << 16, $"{numbers[i + j]:g9}");
            }
        }
    }

    [TestMethod]
    [DataRow(0x7fc00000u)]
    [DataRow(0xffc00000u)]
    [DataRow(0x7fffffffu)]   // rounded up it would be negative zero
    [DataRow(0x7f800001u)]   // cut off it would be infinite
    public void NaNStaysNaN(uint bits)
    {
        var halves = stackalloc ushort[VectorMemory.Count];
        VectorMemory.Store(Vector512.Create(bits).AsSingle(), halves, VectorMemory.Count);
        Assert.IsTrue(float.IsNaN(BitConverter.UInt32BitsToSingle((uint)halves[0] << 16)));
    }

    [TestMethod]
    public void NothingIsReadOrWrittenBeyondTheEndOfARow()
    {
        var floats = stackalloc float[VectorMemory.Count];
        var halves = stackalloc ushort[VectorMemory.Count];
        for (var left = 1; left < VectorMemory.Count; left++)
        {
            for (var i = 0; i < VectorMemory.Count; i++)
                (floats[i], halves[i]) = (i + 1, (ushort)(BitConverter.SingleToUInt32Bits(i + 1) >> 16));
            foreach (var vector in new[] { VectorMemory.Load(floats, left), VectorMemory.Load(halves, left) })
            {
                for (var i = 0; i < VectorMemory.Count; i++)
                    Assert.AreEqual(i < left ? i + 1 : 0, vector[i]);
            }

            VectorMemory.Store(Vector512.Create(100f), floats, left);
            VectorMemory.Store(Vector512.Create(100f), halves, left);
            for (var i = 0; i < VectorMemory.Count; i++)
            {
                Assert.AreEqual(i < left ? 100 : i + 1, floats[i]);
                Assert.AreEqual(floats[i], BitConverter.UInt32BitsToSingle((uint)halves[i] << 16));
            }
        }
    }
}
