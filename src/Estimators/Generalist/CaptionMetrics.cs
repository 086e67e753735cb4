namespace Microsoft.ML.MoE.Estimators;

/// <summary>How good descriptions of pictures are.</summary>
/// <param name="Pictures">Pictures that were described.</param>
/// <param name="Bleu1">BLEU of words, 0 to 1 (<see cref="Bleu"/>).</param>
/// <param name="Bleu4">BLEU of up to four words in a row, 0 to 1; 0 where no description has four words in a row that a reference
/// has.</param>
/// <param name="Tokens">How well the given descriptions are predicted, token by token.</param>
public sealed record CaptionMetrics(int Pictures, double Bleu1, double Bleu4, TokenMetrics Tokens);
