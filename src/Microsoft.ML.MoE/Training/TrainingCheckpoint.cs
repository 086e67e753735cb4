using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>The tensors of a checkpoint, in parts: <c>PART/NAME</c>.</summary>
internal sealed class TrainingCheckpoint
{
    private const char Separator = '/';

    private readonly Dictionary<string, Tensor> tensors;

    /// <summary>An empty one, to be filled.</summary>
    public TrainingCheckpoint() => tensors = [];

    /// <summary>One that was read.</summary>
    public TrainingCheckpoint(IReadOnlyDictionary<string, Tensor> tensors) => this.tensors = tensors.ToDictionary();

    /// <summary>All tensors by their full names.</summary>
    public IReadOnlyDictionary<string, Tensor> Tensors => tensors;

    /// <summary>The tensors of a part, by their names within it.</summary>
    public Dictionary<string, Tensor> this[string part] =>
        tensors
            .Where(pair => pair.Key.StartsWith(part + Separator, StringComparison.Ordinal))
            .ToDictionary(pair => pair.Key[(part.Length + 1)..], pair => pair.Value);

    /// <summary>Adds a part.</summary>
    public void Add(string part, IEnumerable<KeyValuePair<string, Tensor>> named)
    {
        foreach (var (name, tensor) in named)
            tensors.Add(part + Separator + name, tensor);
    }
}
