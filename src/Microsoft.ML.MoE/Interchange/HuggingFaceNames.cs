namespace Microsoft.ML.MoE.Interchange;

/// <summary>
/// The names that Hugging Face's transformers (https://github.com/huggingface/transformers) gives to the weights of text encoders that are
/// ours too, without the prefix that they have as a part of a larger model.
/// </summary>
internal static class HuggingFaceNames
{
    private static readonly TensorName[] Embeddings =
    [
        new("tokens.weight", "embeddings.word_embeddings.weight"),
        new("positions.weight", "embeddings.position_embeddings.weight"),
        new("segments.weight", "embeddings.token_type_embeddings.weight"),
        new("embeddingNorm.weight", "embeddings.LayerNorm.weight"),
        new("embeddingNorm.bias", "embeddings.LayerNorm.bias"),
    ];

    /// <summary>BERT.</summary>
    public static IReadOnlyList<TensorName> Bert { get; } =
    [
        .. Embeddings,
        new(
            "attentions.{i}.queryKeyValue.weight",
            "encoder.layer.{i}.attention.self.query.weight",
            "encoder.layer.{i}.attention.self.key.weight",
            "encoder.layer.{i}.attention.self.value.weight"),
        new(
            "attentions.{i}.queryKeyValue.bias",
            "encoder.layer.{i}.attention.self.query.bias",
            "encoder.layer.{i}.attention.self.key.bias",
            "encoder.layer.{i}.attention.self.value.bias"),
        new("attentions.{i}.output.weight", "encoder.layer.{i}.attention.output.dense.weight"),
        new("attentions.{i}.output.bias", "encoder.layer.{i}.attention.output.dense.bias"),
        new("attentionNorms.{i}.weight", "encoder.layer.{i}.attention.output.LayerNorm.weight"),
        new("attentionNorms.{i}.bias", "encoder.layer.{i}.attention.output.LayerNorm.bias"),
        new("feedForwards.{i}.expand.weight", "encoder.layer.{i}.intermediate.dense.weight"),
        new("feedForwards.{i}.expand.bias", "encoder.layer.{i}.intermediate.dense.bias"),
        new("feedForwards.{i}.contract.weight", "encoder.layer.{i}.output.dense.weight"),
        new("feedForwards.{i}.contract.bias", "encoder.layer.{i}.output.dense.bias"),
        new("slotNorms.{i}.weight", "encoder.layer.{i}.output.LayerNorm.weight"),
        new("slotNorms.{i}.bias", "encoder.layer.{i}.output.LayerNorm.bias"),
        new("pooler.weight", "pooler.dense.weight"),
        new("pooler.bias", "pooler.dense.bias"),
    ];

    /// <summary>ALBERT, whose one block serves all depth.</summary>
    public static IReadOnlyList<TensorName> Albert { get; } =
    [
        .. Embeddings,
        new("widen.weight", "encoder.embedding_hidden_mapping_in.weight"),
        new("widen.bias", "encoder.embedding_hidden_mapping_in.bias"),
        new(
            "attentions.0.queryKeyValue.weight",
            "encoder.albert_layer_groups.0.albert_layers.0.attention.query.weight",
            "encoder.albert_layer_groups.0.albert_layers.0.attention.key.weight",
            "encoder.albert_layer_groups.0.albert_layers.0.attention.value.weight"),
        new(
            "attentions.0.queryKeyValue.bias",
            "encoder.albert_layer_groups.0.albert_layers.0.attention.query.bias",
            "encoder.albert_layer_groups.0.albert_layers.0.attention.key.bias",
            "encoder.albert_layer_groups.0.albert_layers.0.attention.value.bias"),
        new("attentions.0.output.weight", "encoder.albert_layer_groups.0.albert_layers.0.attention.dense.weight"),
        new("attentions.0.output.bias", "encoder.albert_layer_groups.0.albert_layers.0.attention.dense.bias"),
        new("attentionNorms.0.weight", "encoder.albert_layer_groups.0.albert_layers.0.attention.LayerNorm.weight"),
        new("attentionNorms.0.bias", "encoder.albert_layer_groups.0.albert_layers.0.attention.LayerNorm.bias"),
        new("feedForwards.0.expand.weight", "encoder.albert_layer_groups.0.albert_layers.0.ffn.weight"),
        new("feedForwards.0.expand.bias", "encoder.albert_layer_groups.0.albert_layers.0.ffn.bias"),
        new("feedForwards.0.contract.weight", "encoder.albert_layer_groups.0.albert_layers.0.ffn_output.weight"),
        new("feedForwards.0.contract.bias", "encoder.albert_layer_groups.0.albert_layers.0.ffn_output.bias"),
        new("slotNorms.0.weight", "encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.weight"),
        new("slotNorms.0.bias", "encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.bias"),
        new("pooler.weight", "pooler.weight"),
        new("pooler.bias", "pooler.bias"),
    ];
}
