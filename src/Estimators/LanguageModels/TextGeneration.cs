using Microsoft.ML.MoE.Generation;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>One text in the making. One step at a time, on any thread.</summary>
internal sealed class TextGeneration : IDisposable
{
    private readonly LanguageModelScorer scorer;
    private readonly GenerationOptions options;
    private readonly TokenGenerator generator;
    private readonly TokenTextStream text;
    private readonly bool isByPlan;
    private int made;
    private bool ended;

    /// <summary>Prepares a text; <paramref name="generator"/> becomes its own, and runs beside others where it reads by a plan.</summary>
    public TextGeneration(LanguageModelScorer scorer, GenerationOptions options, TokenGenerator generator, bool isByPlan)
    {
        this.isByPlan = isByPlan;
        this.scorer = scorer;
        this.options = options;
        this.generator = generator;
        text = new TokenTextStream(scorer.Tokenizer, options.StopStrings);
    }

    /// <summary>Makes a token.</summary>
    /// <returns>Text that has become ready, often empty; null when all has been given out.</returns>
    /// <exception cref="ObjectDisposedException">The transformer has been disposed.</exception>
    public string? Next()
    {
        if (ended)
            return null;
        if (made == options.MaxTokens)
            return End();

        var token = NextToken();
        made++;
        if (token == scorer.Tokenizer.SeparatorId)
            return End();
        var ready = text.Add(token);
        ended = text.Stopped;
        return ready;
    }

    /// <inheritdoc/>
    public void Dispose() => generator.Dispose();

    private int NextToken()
    {
        scorer.RequireAlive();
        if (isByPlan)
            return generator.Next();
        var token = 0;
        scorer.Use(_ => token = generator.Next());
        return token;
    }

    private string End()
    {
        ended = true;
        return text.End();
    }
}
