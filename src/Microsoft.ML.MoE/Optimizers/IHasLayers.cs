namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// A module that tells how deep in the network each of its parameters is, for learning rates that fall with the distance from the output
/// (layer decay).
/// </summary>
internal interface IHasLayers
{
    /// <summary>The layer of what is next to the output; layer 0 is next to the input.</summary>
    int LastLayer { get; }

    /// <summary>The layers that use a parameter: one, or several where layers share it.</summary>
    /// <param name="parameterName">Its name in the module, as <c>named_parameters</c> gives it.</param>
    /// <returns>Numbers from 0 to <see cref="LastLayer"/>, at least one.</returns>
    IReadOnlyList<int> LayersOf(string parameterName);
}
