using System.Reflection;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Tells what says "this picture cannot be read" from what says anything else. Only the former is counted and passed by: a wrong or missing
/// library, or a mistake in a step of the pipeline, would spoil every row, and must end the reading.
/// </summary>
internal static class PictureFailures
{
    /// <summary>Whether an exception from a getter or a decoder is about the one picture.</summary>
    public static bool IsOfOnePicture(Exception exception) => IsSaidOfPictures(exception) && !Chain(exception).Any(IsOfTheProgram);

    // What file systems, MLImage and decoders of a user's own throw: files that are missing or locked, invalid contents, formats and sizes
    // that they cannot take. MLImage throws the base types themselves; what is derived from InvalidOperationException says something else,
    // such as that a model has been disposed.
    private static bool IsSaidOfPictures(Exception exception) =>
        exception
            is IOException
                or UnauthorizedAccessException
                or InvalidDataException
                or FormatException
                or NotSupportedException
                or ArgumentException
        || exception.GetType() == typeof(InvalidOperationException);

    // Also where something else is wrapped around it.
    private static bool IsOfTheProgram(Exception exception) =>
        exception switch
        {
            OutOfMemoryException or OperationCanceledException or ObjectDisposedException => true,
            TypeLoadException
            or TypeInitializationException
            or MemberAccessException
            or BadImageFormatException
            or ReflectionTypeLoadException
            or PlatformNotSupportedException => true,
            FileLoadException => true,
            // An assembly: its display name.
            FileNotFoundException { FileName: { } name } => name.Contains(", Culture=", StringComparison.Ordinal),
            _ => false,
        };

    private static IEnumerable<Exception> Chain(Exception exception)
    {
        IEnumerable<Exception> within = exception switch
        {
            AggregateException all => all.InnerExceptions,
            { InnerException: { } inner } => [inner],
            _ => [],
        };
        return within.SelectMany(Chain).Prepend(exception);
    }
}
