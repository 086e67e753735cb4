namespace Microsoft.ML.MoE.Models;

/// <summary>Whether a token that belongs to no patch stands before the patches.</summary>
public enum ClassToken
{
    /// <summary>None.</summary>
    None,

    /// <summary>A row of zeros with a learned position embedding, as in the code behind the WideNet paper.</summary>
    Zero,

    /// <summary>A learned vector (ViT, arXiv 2010.11929, equation 1).</summary>
    Learned,
}
