// Losses that keep the load of the experts even.
//
// Axes: T = tokens of the whole batch, E = experts, K = experts chosen per token.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Routing;

/// <summary>
/// Load-balancing losses over a batch of routed tokens. All return a scalar that carries the gradient of the probabilities.
/// </summary>
public static class BalancingLosses
{
    /// <summary>
    /// E · Σᵢ mᵢ · Pᵢ, with mᵢ the fraction of (token, choice) pairs that went to expert i (no gradient) and Pᵢ its mean probability.
    /// 1 when the load is even, E when one expert takes all. WideNet, arXiv 2107.11817, equations 3–5, with the indicator divided by K as
    /// in the authors' code (the printed formula is K times this).
    /// </summary>
    /// <param name="probs_TE">Router probabilities, (T, E).</param>
    /// <param name="ids_TK">Chosen experts, int64 (T, K).</param>
    public static Tensor TopK(Tensor probs_TE, Tensor ids_TK)
    {
        using var scope = NewDisposeScope();
        var experts = probs_TE.shape[1];
        var pairs = ids_TK.numel();
        var fraction_E = CountChoices(ids_TK, experts).to_type(probs_TE.dtype).DividedBy(pairs);
        return (fraction_E * probs_TE.mean([0])).sum().Times(experts).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// E · Σᵢ fᵢ · Pᵢ with fᵢ the fraction of tokens whose most probable expert is i. GShard, arXiv 2006.16668, section 2.2; Switch
    /// Transformer, arXiv 2101.03961, equation 4.
    /// </summary>
    /// <param name="probs_TE">Router probabilities, (T, E).</param>
    public static Tensor GShard(Tensor probs_TE)
    {
        using var scope = NewDisposeScope();
        return TopK(probs_TE, probs_TE.argmax(1, keepdim: true)).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// (std(Imp) / mean(Imp))² with Impᵢ the sum of expert i's probabilities over the batch and the population standard deviation. V-MoE,
    /// arXiv 2106.05974, appendix A.
    /// </summary>
    /// <param name="probs_TE">Router probabilities without noise, (T, E).</param>
    public static Tensor Importance(Tensor probs_TE)
    {
        using var scope = NewDisposeScope();
        return SquaredCoefficientOfVariation(probs_TE.sum([0])).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// (std(Load) / mean(Load))² with the population standard deviation and Loadᵢ the sum over the batch of the probability that expert i
    /// would be chosen if its noise, and no other, were drawn anew: p = 1 − Φ((θ − lᵢ) / σ), with θ the token's K-th largest noisy logit,
    /// the same for all its experts. V-MoE, arXiv 2106.05974, appendix A. The gradient flows through the logits and through θ.
    /// </summary>
    /// <param name="logits_TE">Logits without noise l, (T, E).</param>
    /// <param name="noisyLogits_TE">The same with the noise that the choices were made with, (T, E).</param>
    /// <param name="ids_TK">Chosen experts, those with the largest noisy logits, best first, int64 (T, K).</param>
    /// <param name="noiseDeviation">Standard deviation σ of the noise, above 0: without noise there is no such probability.</param>
    /// <exception cref="ArgumentException">The deviation is not above 0.</exception>
    public static Tensor Load(Tensor logits_TE, Tensor noisyLogits_TE, Tensor ids_TK, double noiseDeviation)
    {
        if (!(noiseDeviation > 0))
            throw new ArgumentException($"The noise deviation is {noiseDeviation}; it must be above 0.", nameof(noiseDeviation));
        using var scope = NewDisposeScope();
        var threshold_T1 = noisyLogits_TE.gather(1, ids_TK.narrow(1, ids_TK.shape[1] - 1, 1));
        var probs_TE = special.ndtr((logits_TE - threshold_T1).DividedBy(noiseDeviation));   // 1 − Φ(z) = Φ(−z)
        return SquaredCoefficientOfVariation(probs_TE.sum([0])).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// ½ · <see cref="Importance"/> + ½ · <see cref="Load"/>: to be weighted with λ. Sparse-MLP, arXiv 2109.02008, section 2.3. Without
    /// noise, as in evaluation, the load loss is not defined and only the first half is left.
    /// </summary>
    /// <param name="logits_TE">Logits without noise, (T, E).</param>
    /// <param name="noisyLogits_TE">The same with the noise that the choices were made with, (T, E).</param>
    /// <param name="ids_TK">Chosen experts, those with the largest noisy logits, best first, int64 (T, K).</param>
    /// <param name="noiseDeviation">Standard deviation of the noise; 0 for none.</param>
    public static Tensor ImportanceAndLoad(Tensor logits_TE, Tensor noisyLogits_TE, Tensor ids_TK, double noiseDeviation)
    {
        using var scope = NewDisposeScope();
        var loss = Importance(logits_TE.softmax(-1)).Times(0.5);
        if (noiseDeviation > 0)
            loss = loss.Plus(Load(logits_TE, noisyLogits_TE, ids_TK, noiseDeviation).Times(0.5));
        return loss.MoveToOuterDisposeScope();
    }

    /// <summary>(std(x) / mean(x))², with the population standard deviation (no Bessel correction).</summary>
    internal static Tensor SquaredCoefficientOfVariation(Tensor x_E)
    {
        using var scope = NewDisposeScope();
        var mean = x_E.mean();
        return ((x_E - mean).Squared().mean() / mean.Squared()).MoveToOuterDisposeScope();
    }

    /// <summary>How often each expert was chosen, int64 (E).</summary>
    internal static Tensor CountChoices(Tensor ids_TK, long experts)
    {
        using var scope = NewDisposeScope();
        var ids_P = ids_TK.flatten();
        return zeros([experts], int64, ids_TK.device).scatter_add(0, ids_P, ones_like(ids_P)).MoveToOuterDisposeScope();
    }
}
