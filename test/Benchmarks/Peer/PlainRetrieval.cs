// Axes: T = tokens, D = model width, H = heads, K = experts of a head, M = H·K.

using Microsoft.ML.MoE.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Peer;

/// <summary>Queries and product keys as one writes them in torch.</summary>
/// <param name="parameters">The layer's parameters by name.</param>
/// <param name="buffers">Its buffers by name.</param>
/// <param name="options">The layer's options.</param>
/// <param name="training">Whether queries are normalised with the batch's own statistics, rather than with the running ones.</param>
internal sealed class PlainRetrieval(
    IReadOnlyDictionary<string, Tensor> parameters, IReadOnlyDictionary<string, Tensor> buffers, PeerOptions options, bool training)
{
    /// <summary>The experts of every token, int64 (T, M), and their gates (T, M).</summary>
    public (Tensor Ids_TM, Tensor Gates_TM) Retrieve(Tensor x_TD)
    {
        var (tokens, heads, count) = (x_TD.shape[0], options.Heads, options.ExpertsPerHead);
        var subKeys = (long)Math.Round(Math.Sqrt(options.Experts));
        var query = nn.functional.linear(x_TD, parameters["query.projection.weight"], parameters["query.projection.bias"]);
        query = nn.functional.batch_norm(
            query, training ? null : buffers["query.norm.runningMean"], training ? null : buffers["query.norm.runningVariance"],
            parameters["query.norm.weight"], parameters["query.norm.bias"], training);
        var halves = query.view(tokens, heads, 2, options.QueryWidth / 2);
        var (rowScores, rows) = nn.functional.linear(halves.select(2, 0), parameters["keys.rowKeys"]).topk(count);
        var (columnScores, columns) = nn.functional.linear(halves.select(2, 1), parameters["keys.columnKeys"]).topk(count);
        var (scores, places) = (rowScores.unsqueeze(-1) + columnScores.unsqueeze(-2)).flatten(-2).topk(count);
        var ids = (rows.gather(-1, places.div(count, RoundingMode.floor)) * subKeys) + columns.gather(-1, places.remainder(count));
        return (ids.flatten(1), scores.softmax(-1).flatten(1));
    }
}
