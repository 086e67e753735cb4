// Numbers on their way into libtorch and out of it. TorchSharp wraps a number into a Scalar, hands libtorch the address of what the Scalar
// owns, and keeps nothing alive meanwhile: a collection at that moment frees the number that libtorch is about to read (dotnet/TorchSharp
// #1434, #1496). The call then throws, or computes with whatever lies there by then. So no other file makes a Scalar, or calls what makes
// one inside TorchSharp, `tensor + tensor` and `ToSingle` among them: a test reads the compiled assemblies for it. Here every Scalar is
// held until the call is over, by `using` or by a static field.

using TorchSharp;
using static TorchSharp.torch;

#pragma warning disable RS0030 // This is the one file that may.

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// Arithmetic of tensors and numbers, without a moment in which the collector could free a number that libtorch reads. Shapes broadcast,
/// types are promoted and gradients flow as in the operators of <see cref="Tensor"/> that these stand for: a <see cref="long"/> leaves
/// integers integers, a <see cref="double"/> makes them floating-point and leaves floating-point types as they are.
/// </summary>
internal static class TensorNumbers
{
    private static readonly Scalar One = 1L.ToScalar();
    private static readonly Scalar Two = 2L.ToScalar();
    private static readonly Scalar Zero = 0L.ToScalar();

    /// <summary>
    /// A number for a call that takes a <see cref="Scalar"/>. To be held until the call is over: <c>using var rate = Number(…);</c>.
    /// </summary>
    public static Scalar Number(double value) => value.ToScalar();

    /// <inheritdoc cref="Number(double)"/>
    public static Scalar Number(bool value) => value.ToScalar();

    /// <summary>The one number of a tensor of any floating-point type.</summary>
    public static float ReadSingle(this Tensor x) => Read<float>(x, float32);

    /// <summary>The one number of a tensor of any type.</summary>
    public static double ReadDouble(this Tensor x) => Read<double>(x, float64);

    /// <summary>The one number of a tensor of any integer type.</summary>
    public static long ReadInt64(this Tensor x) => Read<long>(x, int64);

    /// <summary>x + y.</summary>
    public static Tensor Plus(this Tensor x, Tensor y) => x.add(y, One);

    /// <summary>x + number.</summary>
    public static Tensor Plus(this Tensor x, double number)
    {
        using var scalar = number.ToScalar();
        return x.add(scalar, One);
    }

    /// <inheritdoc cref="Plus(Tensor, double)"/>
    public static Tensor Plus(this Tensor x, long number)
    {
        using var scalar = number.ToScalar();
        return x.add(scalar, One);
    }

    /// <summary>x − number.</summary>
    public static Tensor Minus(this Tensor x, double number)
    {
        using var scalar = number.ToScalar();
        return x.sub(scalar);
    }

    /// <inheritdoc cref="Minus(Tensor, double)"/>
    public static Tensor Minus(this Tensor x, long number)
    {
        using var scalar = number.ToScalar();
        return x.sub(scalar);
    }

    /// <summary>number − x.</summary>
    public static Tensor SubtractedFrom(this Tensor x, double number) => x.negative().Plus(number);

    /// <inheritdoc cref="SubtractedFrom(Tensor, double)"/>
    public static Tensor SubtractedFrom(this Tensor x, long number) => x.negative().Plus(number);

    /// <summary>x · number.</summary>
    public static Tensor Times(this Tensor x, double number)
    {
        using var scalar = number.ToScalar();
        return x.mul(scalar);
    }

    /// <inheritdoc cref="Times(Tensor, double)"/>
    public static Tensor Times(this Tensor x, long number)
    {
        using var scalar = number.ToScalar();
        return x.mul(scalar);
    }

    /// <summary>x / number; of integers too a floating-point result.</summary>
    public static Tensor DividedBy(this Tensor x, double number)
    {
        using var scalar = number.ToScalar();
        return x.div(scalar);
    }

    /// <summary>⌊x / number⌋.</summary>
    public static Tensor FloorDividedBy(this Tensor x, long number)
    {
        using var scalar = number.ToScalar();
        return x.div(scalar, RoundingMode.floor);
    }

    /// <summary>x − number · ⌊x / number⌋.</summary>
    public static Tensor Modulo(this Tensor x, long number)
    {
        using var scalar = number.ToScalar();
        return x.remainder(scalar);
    }

    /// <summary>x².</summary>
    public static Tensor Squared(this Tensor x) => x.pow(Two);

    /// <summary>x + number · y · z.</summary>
    public static Tensor PlusProduct(this Tensor x, Tensor y, Tensor z, double number)
    {
        using var scalar = number.ToScalar();
        return x.addcmul(y, z, scalar);
    }

    /// <summary>x between two limits, each where it is given.</summary>
    public static Tensor Clamp(this Tensor x, double? min = null, double? max = null)
    {
        using Scalar? least = min?.ToScalar(), most = max?.ToScalar();
        return x.clamp(least, most);
    }

    /// <inheritdoc cref="Clamp(Tensor, double?, double?)"/>
    public static Tensor Clamp(this Tensor x, long? min = null, long? max = null)
    {
        using Scalar? least = min?.ToScalar(), most = max?.ToScalar();
        return x.clamp(least, most);
    }

    /// <summary>Adds y to x in place.</summary>
    public static Tensor PlusInPlace(this Tensor x, Tensor y) => x.add_(y, One);

    /// <summary>Adds number · y to x in place.</summary>
    public static Tensor PlusInPlace(this Tensor x, Tensor y, double number)
    {
        using var scalar = number.ToScalar();
        return x.add_(y, scalar);
    }

    /// <summary>Adds a number to x in place.</summary>
    public static Tensor PlusInPlace(this Tensor x, double number)
    {
        using var scalar = number.ToScalar();
        return x.add_(scalar, One);
    }

    /// <inheritdoc cref="PlusInPlace(Tensor, double)"/>
    public static Tensor PlusInPlace(this Tensor x, long number)
    {
        using var scalar = number.ToScalar();
        return x.add_(scalar, One);
    }

    /// <summary>Multiplies x by a number in place.</summary>
    public static Tensor TimesInPlace(this Tensor x, double number)
    {
        using var scalar = number.ToScalar();
        return x.mul_(scalar);
    }

    /// <summary>Divides x by a number in place.</summary>
    public static Tensor DividedByInPlace(this Tensor x, double number)
    {
        using var scalar = number.ToScalar();
        return x.div_(scalar);
    }

    /// <summary>Puts x between two limits, each where it is given, in place.</summary>
    public static Tensor ClampInPlace(this Tensor x, double? min = null, double? max = null)
    {
        using Scalar? least = min?.ToScalar(), most = max?.ToScalar();
        return x.clamp_(least, most);
    }

    /// <summary>Adds rows of a source to the rows of x that an index names, in place.</summary>
    public static Tensor IndexAddInPlace(this Tensor x, long dim, Tensor index, Tensor source) => x.index_add_(dim, index, source, One);

    /// <summary>x with a number where a mask is true.</summary>
    public static Tensor MaskedFill(this Tensor x, Tensor mask, double number)
    {
        using var scalar = number.ToScalar();
        return x.masked_fill(mask, scalar);
    }

    /// <summary>Whether x = number.</summary>
    public static Tensor EqualTo(this Tensor x, long number)
    {
        using var scalar = number.ToScalar();
        return x.eq(scalar);
    }

    /// <summary>Whether x ≠ number.</summary>
    public static Tensor NotEqualTo(this Tensor x, long number)
    {
        using var scalar = number.ToScalar();
        return x.ne(scalar);
    }

    /// <summary>Whether x &gt; number.</summary>
    public static Tensor GreaterThan(this Tensor x, double number)
    {
        using var scalar = number.ToScalar();
        return x.gt(scalar);
    }

    /// <summary>Whether x ≥ number.</summary>
    public static Tensor AtLeast(this Tensor x, double number)
    {
        using var scalar = number.ToScalar();
        return x.ge(scalar);
    }

    /// <summary>Whether x &lt; number.</summary>
    public static Tensor LessThan(this Tensor x, double number)
    {
        using var scalar = number.ToScalar();
        return x.lt(scalar);
    }

    /// <inheritdoc cref="LessThan(Tensor, double)"/>
    public static Tensor LessThan(this Tensor x, long number)
    {
        using var scalar = number.ToScalar();
        return x.lt(scalar);
    }

    /// <summary>0, 1, … up to a number that is left out.</summary>
    public static Tensor Range(long end, ScalarType? type = null, Device? device = null)
    {
        using var stop = end.ToScalar();
        return arange(Zero, stop, One, type ?? int64, device);
    }

    /// <summary>A tensor of one number.</summary>
    public static Tensor Filled(long[] shape, double number, ScalarType type, Device? device = null)
    {
        using var scalar = number.ToScalar();
        return full(shape, scalar, type, device);
    }

    /// <summary>A tensor of one number, of the shape, type and device of another.</summary>
    public static Tensor FilledLike(Tensor x, double number)
    {
        using var scalar = number.ToScalar();
        return full_like(x, scalar);
    }

    private static T Read<T>(Tensor x, ScalarType type) where T : unmanaged
    {
        using var scope = NewDisposeScope();
        using var _ = no_grad();
        var here = x.to_type(type).cpu();
        var number = here.item<T>();
        GC.KeepAlive(here);
        return number;
    }
}
