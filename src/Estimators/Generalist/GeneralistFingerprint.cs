using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Tells whether the tasks and examples of a training are those of an earlier one.</summary>
internal static class GeneralistFingerprint
{
    private const int Digits = 16;   // 64 bits, which nothing will collide by accident

    /// <summary>The tasks, as a text.</summary>
    public static string Describe(IEnumerable<GeneralistTask> tasks) => JsonSerializer.Serialize(tasks, GeneralistDocument.Json);

    /// <summary>The number of a task's examples, and a hash of all that they are, by name.</summary>
    /// <param name="set">The examples.</param>
    /// <param name="what">What they are for: "training" or "validation".</param>
    public static IEnumerable<KeyValuePair<string, string>> Describe(GeneralistTaskExamples set, string what)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (var example in set.Examples)
        {
            hash.AppendData(BitConverter.GetBytes(example.Label));
            hash.AppendData(BitConverter.GetBytes(example.Text?.Length ?? -1));
            hash.AppendData(MemoryMarshal.AsBytes((example.Text ?? []).AsSpan()));
            hash.AppendData(example.Picture ?? []);
        }
        return
        [
            new($"Number of {what} examples of task '{set.Task.Name}'", set.Examples.Count.ToString(CultureInfo.InvariantCulture)),
            new($"Hash of the {what} examples of task '{set.Task.Name}'", Convert.ToHexStringLower(hash.GetHashAndReset())[..Digits]),
        ];
    }
}
