using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What <see cref="LanguageModelFormat"/> reads from a model zip.</summary>
internal sealed record LoadedLanguageModel(
    LanguageModelDocument Document, TextTokenizer Tokenizer, LanguageModelSummary? Training, LanguageModel Model);
