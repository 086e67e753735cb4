using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Layers;

/// <summary>What a layer of a query network, product keys and tables costs.</summary>
internal static class ProductKeyCost
{
    public static LayerCost Of(int width, ProductKeyOptions keys, bool batchNorm, int tables, ExpertTableOptions options)
    {
        checked
        {
            var queries = (long)keys.Heads * keys.QueryWidth;
            var retrieval = (queries * (width + 1)) + (batchNorm ? 2 * queries : 0) + keys.Parameters;
            var row = (long)tables * width;
            var active = keys.Heads * keys.KeysPerHead * row;
            var macs = (queries * width) + (queries * keys.SubKeys) + active;
            return new LayerCost(
                retrieval + (keys.Keys * row),
                retrieval + active,
                macs,
                tables * options.TableBytes(keys.Keys, width),
                options.OptimizerBytes(keys.Keys, width, tables));
        }
    }
}
