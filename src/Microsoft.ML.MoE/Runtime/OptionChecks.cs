namespace Microsoft.ML.MoE.Runtime;

/// <summary>Range checks whose messages name the option, the value found and the value wanted. None accepts NaN or infinity.</summary>
internal static class OptionChecks
{
    public static void AtLeast(long minimum, long value, string name)
    {
        if (value < minimum)
            throw new ArgumentException($"{name} is {value}; it must be at least {minimum}.");
    }

    public static void AtLeast(double minimum, double value, string name)
    {
        if (!(value >= minimum) || double.IsInfinity(value))
            throw new ArgumentException($"{name} is {value}; it must be a finite number of at least {minimum}.");
    }

    public static void Above(double minimum, double value, string name)
    {
        if (!(value > minimum) || double.IsInfinity(value))
            throw new ArgumentException($"{name} is {value}; it must be a finite number above {minimum}.");
    }

    public static void AtLeastAndBelow(double minimum, double limit, double value, string name)
    {
        if (!(value >= minimum && value < limit))
            throw new ArgumentException($"{name} is {value}; it must be at least {minimum} and below {limit}.");
    }

    public static void Between(double minimum, double maximum, double value, string name)
    {
        if (!(value >= minimum && value <= maximum))
            throw new ArgumentException($"{name} is {value}; it must be between {minimum} and {maximum}.");
    }

    public static void Defined<T>(T value, string name) where T : struct, Enum
    {
        if (!Enum.IsDefined(value))
            throw new ArgumentException($"{name} is {value}; it must be one of {string.Join(", ", Enum.GetNames<T>())}.");
    }
}
