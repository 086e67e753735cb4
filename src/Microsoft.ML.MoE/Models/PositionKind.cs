namespace Microsoft.ML.MoE.Models;

/// <summary>How a language model tells positions apart.</summary>
public enum PositionKind
{
    /// <summary>Queries and keys are turned by their positions (RoFormer, arXiv 2104.09864).</summary>
    Rotary,

    /// <summary>A learned vector for every position is added to the tokens' (GPT-2).</summary>
    Learned,
}
