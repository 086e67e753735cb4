namespace Microsoft.ML.MoE.Layers;

/// <summary>The two gates of a <see cref="ConditionalBlock"/>.</summary>
public enum BlockGate
{
    /// <summary>Chooses the experts of the attention's two layers.</summary>
    Attention,

    /// <summary>Chooses the experts of the feed-forward network's two layers.</summary>
    FeedForward,
}
