namespace Microsoft.ML.MoE.Layers;

/// <summary>The forms of GELU (Hendrycks and Gimpel, arXiv 1606.08415, section 2).</summary>
public enum GeluForm
{
    /// <summary>x · Φ(x).</summary>
    Exact,

    /// <summary>½x · (1 + tanh(√(2/π) · (x + 0.044715x³))), ALBERT's; other libraries call it <c>gelu_new</c>.</summary>
    Tanh,
}
