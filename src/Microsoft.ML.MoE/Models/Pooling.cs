namespace Microsoft.ML.MoE.Models;

/// <summary>How the tokens of an image become one vector.</summary>
public enum Pooling
{
    /// <summary>The mean over all tokens (WideNet and ViT-MoE, arXiv 2107.11817, section 4.1).</summary>
    Mean,

    /// <summary>The class token (ViT).</summary>
    ClassToken,

    /// <summary>A mean over all tokens, weighted by how each agrees with a learned vector (arXiv 2104.05704, equation 5).</summary>
    Attention,
}
