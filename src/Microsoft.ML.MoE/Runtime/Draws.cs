using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// Random numbers for weights, dropout and noise: from the generator of the thread's <see cref="GeneratorScope"/>, and without one from the
/// process's, where they are the numbers that torch's own functions give. Whatever is drawn in a training is drawn here.
/// </summary>
internal static class Draws
{
    /// <summary>Fills a tensor with uniform numbers.</summary>
    public static Tensor Uniform(Tensor x, double low, double high)
    {
        using var _ = no_grad();
        return x.uniform_(low, high, For(x.device));
    }

    /// <summary>Fills a tensor with normal numbers.</summary>
    public static Tensor Normal(Tensor x, double mean, double deviation)
    {
        using var _ = no_grad();
        return x.normal_(mean, deviation, For(x.device));
    }

    /// <summary>Fills a matrix (outputs, inputs) as Glorot and Bengio have it: uniform, of variance 2 / (inputs + outputs).</summary>
    public static Tensor XavierUniform(Tensor x_OI)
    {
        var bound = Math.Sqrt(3.0) * Math.Sqrt(2.0 / (x_OI.shape[0] + x_OI.shape[1]));
        return Uniform(x_OI, -bound, bound);
    }

    /// <summary>Uniform numbers from 0 to below 1.</summary>
    public static Tensor Uniform(long[] shape, Device device) => rand(shape, float32, device, generator: For(device));

    /// <summary>Uniform numbers from 0 to below 1, of a tensor's shape, type and device.</summary>
    public static Tensor UniformLike(Tensor x) => Uniform(empty_like(x), 0, 1);

    /// <summary>Numbers of the standard normal distribution, of a tensor's shape, type and device.</summary>
    public static Tensor NormalLike(Tensor x) => Normal(empty_like(x), 0, 1);

    /// <summary>Ones and zeros of a tensor's shape, type and device: one with a probability.</summary>
    public static Tensor OnesLike(Tensor x, double probability)
    {
        using var _ = no_grad();
        return empty_like(x).bernoulli_(probability, For(x.device));
    }

    /// <summary>Any number but the greatest.</summary>
    public static long Integer()
    {
        using var number = randint(long.MinValue, long.MaxValue, [1], int64, CPU, generator: For(CPU));
        return number.item<long>();
    }

    private static Generator? For(Device device) => device.type == DeviceType.CPU ? GeneratorScope.Current : null;
}
