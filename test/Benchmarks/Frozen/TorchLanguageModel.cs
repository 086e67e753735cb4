// Axes: N = sequences (one here), L = tokens, P = tokens so far, V = vocabulary, D = model width, H = heads, A = D/H, width of a head.

using Microsoft.ML.MoE.Models;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>A dense language model with rotary positions that reads one token at a time and keeps keys and values.</summary>
internal sealed class TorchLanguageModel : IDisposable
{
    private readonly LanguageModelConfig config;
    private readonly TorchWeights weights;
    private readonly Block[] blocks;
    private readonly TorchNorm finalNorm;
    private readonly TorchLinear scores;
    private readonly Tensor cosine_LA;
    private readonly Tensor sine_LA;

    /// <param name="model">The model whose weights are copied.</param>
    public TorchLanguageModel(LanguageModel model)
    {
        config = model.Config;
        if (config.SparseLayer is not null || config.TieEmbeddings || config.Positions != PositionKind.Rotary)
            throw new ArgumentException(
                "The frozen language model has no sparse layer, rotary positions and scores of their own.", nameof(model));
        weights = new TorchWeights(model);
        long[] cache = [1, config.Heads, config.ContextLength, config.Width / config.Heads];
        blocks =
        [
            .. Enumerable.Range(0, config.Blocks).Select(i => new Block(
                weights.Norm($"attentionNorms.{i}"),
                weights.Linear($"attentions.{i}.queryKeyValue"),
                weights.Linear($"attentions.{i}.output"),
                weights.Norm($"feedForwardNorms.{i}"),
                weights.FeedForward($"feedForwards.{i}.network"),
                zeros(cache),
                zeros(cache))),
        ];
        finalNorm = weights.Norm("finalNorm");
        scores = weights.Linear("scores");

        var half = config.Width / config.Heads / 2;
        var (cosine, sine) = (new float[config.ContextLength, 2 * half], new float[config.ContextLength, 2 * half]);
        for (var place = 0; place < config.ContextLength; place++)
        {
            for (var pair = 0; pair < half; pair++)
            {
                var angle = place * Math.Pow(10_000, -2.0 * pair / (2 * half));
                cosine[place, pair] = cosine[place, pair + half] = (float)Math.Cos(angle);
                (sine[place, pair], sine[place, pair + half]) = ((float)-Math.Sin(angle), (float)Math.Sin(angle));
            }
        }

        (cosine_LA, sine_LA) = (tensor(cosine), tensor(sine));
    }

    /// <summary>Reads a token and scores the one after it.</summary>
    /// <param name="token">The token.</param>
    /// <param name="before">Tokens that were read before it; their keys and values are kept.</param>
    public float[] Read(int token, int before)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var x_NLD = weights["tokens.weight"].index_select(0, tensor(new[] { (long)token })).unsqueeze(0);
        foreach (var block in blocks)
        {
            x_NLD = x_NLD.Plus(Attend(block, block.AttentionNorm.Apply(x_NLD), before));
            x_NLD = x_NLD.Plus(block.FeedForward.Apply(block.Norm.Apply(x_NLD)));
        }

        return scores.Apply(finalNorm.Apply(x_NLD)).data<float>().ToArray();
    }

    public void Dispose()
    {
        weights.Dispose();
        foreach (var block in blocks)
        {
            block.Keys_NHPA.Dispose();
            block.Values_NHPA.Dispose();
        }

        cosine_LA.Dispose();
        sine_LA.Dispose();
    }

    private Tensor Attend(Block block, Tensor x_NLD, int before)
    {
        using var scope = NewDisposeScope();
        var (width, heads) = (x_NLD.shape[2], config.Heads);
        var qkv_3NHLA = block.QueryKeyValue.Apply(x_NLD).view(1, 1, 3, heads, width / heads).permute(2, 0, 3, 1, 4);
        var parts = qkv_3NHLA.split([2, 1], 0);
        var turned = (parts[0] * cosine_LA.narrow(0, before, 1))
            .Plus(parts[0].roll(width / heads / 2, -1) * sine_LA.narrow(0, before, 1))
            .unbind(0);
        block.Keys_NHPA.narrow(2, before, 1).copy_(turned[1]);
        block.Values_NHPA.narrow(2, before, 1).copy_(parts[1].squeeze(0));
        var mixed_NHLA = nn.functional.scaled_dot_product_attention(
            turned[0], block.Keys_NHPA.narrow(2, 0, before + 1), block.Values_NHPA.narrow(2, 0, before + 1));
        return block.Output.Apply(mixed_NHLA.transpose(1, 2).reshape(1, 1, width)).MoveToOuterDisposeScope();
    }

    private sealed record Block(
        TorchNorm AttentionNorm,
        TorchLinear QueryKeyValue,
        TorchLinear Output,
        TorchNorm Norm,
        TorchFeedForward FeedForward,
        Tensor Keys_NHPA,
        Tensor Values_NHPA);
}
