namespace Microsoft.ML.MoE.Generation;

/// <summary>Draws tokens. The same seed and scores give the same tokens. Not for several threads at once.</summary>
internal sealed class TokenSampler
{
    private readonly SamplingOptions options;
    private readonly Random random;

    /// <summary>Makes a sampler.</summary>
    /// <param name="options">How tokens are chosen.</param>
    /// <param name="seed">Where its random numbers start.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public TokenSampler(SamplingOptions options, int seed)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        this.options = options;
        random = new Random(seed);
    }

    /// <summary>Draws a token.</summary>
    /// <param name="logits">The score of every token before the softmax; minus infinity for those that must not come. Not changed.</param>
    /// <param name="present">The tokens that are there already, for the repetition penalty; in any order, also repeatedly.</param>
    /// <returns>The token.</returns>
    /// <exception cref="ArgumentException">A score is NaN or plus infinity, none is above minus infinity, or there are none.</exception>
    public int Next(ReadOnlySpan<float> logits, IEnumerable<int> present)
    {
        ArgumentNullException.ThrowIfNull(present);
        var scores = new double[logits.Length];
        for (var token = 0; token < logits.Length; token++)
        {
            scores[token] = logits[token];
            if (double.IsNaN(scores[token]) || double.IsPositiveInfinity(scores[token]))
                throw new ArgumentException($"The score of token {token} is {scores[token]}; scores must be numbers.", nameof(logits));
        }

        if (options.RepetitionPenalty != 1)
        {
            foreach (var token in present.Distinct())
                scores[token] = scores[token] > 0 ? scores[token] / options.RepetitionPenalty : scores[token] * options.RepetitionPenalty;
        }

        var best = BestOf(scores);
        if (best < 0)
            throw new ArgumentException("No token has a score above minus infinity: none may come.", nameof(logits));
        return options.Temperature == 0 ? best : Draw(scores, scores[best]);
    }

    private static int BestOf(double[] scores)
    {
        var best = -1;
        for (var token = 0; token < scores.Length; token++)
        {
            if (!double.IsNegativeInfinity(scores[token]) && (best < 0 || scores[token] > scores[best]))
                best = token;
        }
        return best;
    }

    private int Draw(double[] scores, double highest)
    {
        var tokens = new int[scores.Length];
        var weights = new double[scores.Length];
        for (var token = 0; token < scores.Length; token++)
        {
            tokens[token] = token;
            weights[token] = Math.Exp((scores[token] - highest) / options.Temperature);
        }

        var count = weights.Length;
        if (options.TopK is not null || options.TopP is not null)
        {
            Array.Sort(tokens, (one, other) =>
                weights[other].CompareTo(weights[one]) is not 0 and var order ? order : one.CompareTo(other));
            count = Math.Min(options.TopK ?? count, count);
            if (options.TopP is { } topP)
                count = Nucleus(tokens.AsSpan(0, count), weights, topP);
        }

        var sum = 0.0;
        foreach (var token in tokens.AsSpan(0, count))
            sum += weights[token];
        var drawn = random.NextDouble() * sum;
        var last = tokens[0];
        foreach (var token in tokens.AsSpan(0, count))
        {
            if (weights[token] == 0)
                continue;
            last = token;
            drawn -= weights[token];
            if (drawn < 0)
                break;
        }
        return last;   // rounding may leave a little of the number drawn over
    }

    // How many of the most probable tokens it takes.
    private static int Nucleus(ReadOnlySpan<int> tokens, double[] weights, double topP)
    {
        var all = 0.0;
        foreach (var token in tokens)
            all += weights[token];
        var sum = 0.0;
        for (var i = 0; i < tokens.Length; i++)
        {
            sum += weights[tokens[i]];
            if (sum >= topP * all)
                return i + 1;
        }
        return tokens.Length;
    }
}
