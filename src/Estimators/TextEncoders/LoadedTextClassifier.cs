using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What <see cref="TextClassifierFormat"/> reads from a model zip.</summary>
internal sealed record LoadedTextClassifier(
    TextClassifierDocument Document, WordPieceTokenizer Tokenizer, LabelValues? Labels, TextClassificationSummary? Training,
    TextClassifier Model);
