// Parameters of augmentations: drawn on the CPU, a few numbers an image, so that the same seed does the same on every device.
//
// Axes: N = images, R = numbers an image.

using System.Runtime.InteropServices;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>Random numbers of a generator of the CPU, as managed arrays.</summary>
internal static class RandomNumbers
{
    /// <summary>Numbers from 0 to below 1, R of them for each image.</summary>
    public static float[,] Uniform(long images, int each, Generator generator)
    {
        using var numbers_NR = rand([images, each], float32, CPU, generator: generator);
        return ToArray(numbers_NR);
    }

    /// <summary>Numbers of the standard normal distribution, R of them for each image.</summary>
    public static float[,] Normal(long images, int each, Generator generator)
    {
        using var numbers_NR = randn([images, each], float32, CPU, generator: generator);
        return ToArray(numbers_NR);
    }

    /// <summary>One number of Beta(α, α) for each image.</summary>
    public static double[] Beta(double alpha, long images, Generator generator)
    {
        using var scope = NewDisposeScope();
        var gamma_2N = _standard_gamma(Filled([2, images], alpha, float64), generator);   // X / (X + Y) of two Gamma numbers
        return (gamma_2N[0] / gamma_2N.sum([0])).data<double>().ToArray();
    }

    private static float[,] ToArray(Tensor numbers_NR)
    {
        var result = new float[numbers_NR.shape[0], numbers_NR.shape[1]];
        numbers_NR.data<float>().CopyTo(MemoryMarshal.CreateSpan(ref result[0, 0], result.Length));
        return result;
    }
}
