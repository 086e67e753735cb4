namespace Microsoft.ML.MoE.Estimators;

/// <summary>What the tokens of a language model are. The names are part of the model file format.</summary>
public enum TokenizerKind
{
    /// <summary>The 256 bytes of UTF-8: needs no vocabulary and knows every text.</summary>
    Bytes,

    /// <summary>The characters (Unicode scalar values) of the training data.</summary>
    Characters,

    /// <summary>Byte pairs, merged as often as the training data suggest: tokens are pieces of words.</summary>
    BytePairs,

    /// <summary>Byte pairs from a tokenizer's own files, <c>vocab.json</c> and <c>merges.txt</c>.</summary>
    BytePairFiles,

    /// <summary>A Tiktoken encoding by name.</summary>
    Tiktoken,
}
