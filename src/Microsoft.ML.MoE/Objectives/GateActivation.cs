using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>How much one gate gives the tokens of one role to each expert.</summary>
/// <param name="Block">The block, from 0.</param>
/// <param name="Gate">Which of the block's gates.</param>
/// <param name="Role">What the tokens are: their task, their modality, and by the attributes whether they are of the input or of the
/// targets.</param>
/// <param name="Shares">The weight of each expert, from 0 to 1: the mean over the tokens of the gate's value, 0 where the expert was not
/// chosen. They sum to 1.</param>
/// <param name="Frequencies">The part of the tokens for which each expert was chosen, whatever its weight, from 0 to 1. They sum to the
/// experts that a token chooses.</param>
public sealed record GateActivation(
    int Block, BlockGate Gate, TokenRole Role, IReadOnlyList<double> Shares, IReadOnlyList<double> Frequencies);
