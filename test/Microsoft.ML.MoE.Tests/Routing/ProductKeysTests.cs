using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Routing;

[TestClass]
public sealed class ProductKeysTests
{
    /// <summary>Tokens, keys N, heads, keys a head, query width, shared.</summary>
    public static IEnumerable<object[]> Shapes =>
    [
        [5, 16, 2, 3, 6, true],
        [5, 16, 2, 3, 6, false],
        [1, 1, 1, 1, 2, true],         // one key
        [1, 64, 3, 8, 8, true],        // one token, K = √N
        [7, 100, 2, 5, 10, false],     // no multiple of a vector
        [30, 1024, 4, 16, 32, true],
        [9, 1600, 2, 17, 16, true],    // more than one vector a list
        [6, 4096, 2, 33, 24, false],   // more than two
        [20, 16384, 2, 32, 64, true],
        [3, 4096, 2, 64, 8, true],     // more than are ranked at once
        [70, 441, 3, 4, 514, true],    // long queries
        [0, 16, 2, 3, 6, true],        // no token
    ];

    [TestMethod]
    [DynamicData(nameof(Shapes))]
    public void EqualsASearchAmongAllKeys(int tokens, int count, int heads, int chosen, int width, bool shared) =>
        CompareWithAllKeys(tokens, new ProductKeyOptions(count, heads, chosen, width, shared), (keys, query_TQ) =>
            keys.ForwardByTorch(query_TQ));

    [TestMethod]
    [RequiresAvx2]
    [DynamicData(nameof(Shapes))]
    public void TheManagedPathEqualsASearchAmongAllKeys(int tokens, int count, int heads, int chosen, int width, bool shared) =>
        CompareWithAllKeys(tokens, new ProductKeyOptions(count, heads, chosen, width, shared), (keys, query_TQ) =>
            keys.ForwardManaged(query_TQ));

    [TestMethod]
    [RequiresAvx2]
    public void TheManagedPathDoesNotDependOnTheNumberOfThreads()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        using var keys = new ProductKeys(new ProductKeyOptions(900, 3, 6, 20, Shared: false));
        var query_TQ = randn(61, 60).requires_grad_(true);
        var weights_THK = randn(61, 3, 6);
        var results = new List<Tensor[]>();
        foreach (var threads in new[] { 1, 2, 5 })
        {
            using var limit = new ThreadScope(threads);
            var (ids_THK, scores_THK) = keys.ForwardManaged(query_TQ);
            results.Add([ids_THK, scores_THK, .. autograd.grad([(scores_THK * weights_THK).sum()], [query_TQ, .. keys.parameters()])]);
        }
        foreach (var other in results.Skip(1))
        {
            for (var i = 0; i < other.Length; i++)
                Assert.IsTrue(results[0][i].equal(other[i]).all().ToBoolean(), $"result {i}");
        }
    }

    [TestMethod]
    [RequiresAvx2]
    public void ScoresThatAreNotNumbersAreNotLost()
    {
        using var scope = NewDisposeScope();
        using var keys = new ProductKeys(new ProductKeyOptions(400, 2, 5, 8, Shared: true));
        using (no_grad())
            keys.parameters().First()[7] = float.NaN;
        var query_TQ = randn(4, 16);
        query_TQ[2] = float.NaN;
        query_TQ[3] = float.PositiveInfinity;
        foreach (var (ids_THK, scores_THK) in new[] { keys.ForwardManaged(query_TQ), keys.ForwardByTorch(query_TQ) })
        {
            Assert.IsTrue(scores_THK.isnan().any(-1).all().ToBoolean(), "one key is not a number, for every query");
            Assert.IsTrue(scores_THK[2].isnan().all().ToBoolean(), "a query is not a number");
            Assert.IsTrue(((ids_THK >= 0) & (ids_THK < 400)).all().ToBoolean(), "what is found exists");
        }
    }

    [TestMethod]
    [RequiresAvx2]
    public void EqualScoresGiveDifferentKeys()
    {
        using var scope = NewDisposeScope();
        using var keys = new ProductKeys(new ProductKeyOptions(2500, 2, 16, 8, Shared: true));
        var (ids_THK, scores_THK) = keys.ForwardManaged(zeros(3, 16));
        Assert.AreEqual(0, scores_THK.abs().max().ToDouble());
        foreach (var list in ids_THK.flatten(0, 1).unbind())
            Assert.AreEqual(16, list.data<long>().ToArray().Distinct().Count());
    }

    [TestMethod]
    public void EveryKeyCanBeReached()
    {
        const int SubKeys = 12;
        using var scope = NewDisposeScope();
        using var keys = new ProductKeys(new ProductKeyOptions(SubKeys * SubKeys, 1, 1, 2 * SubKeys, Shared: true));
        using (no_grad())
        {
            foreach (var parameter in keys.parameters())
                parameter.copy_(eye(SubKeys));
        }
        var row_N = arange(SubKeys * SubKeys, int64).div(SubKeys, RoundingMode.floor);
        var column_N = arange(SubKeys * SubKeys, int64).remainder(SubKeys);
        var query_NQ = cat([eye(SubKeys).index_select(0, row_N), eye(SubKeys).index_select(0, column_N)], 1);

        TensorAssert.AreEqual([.. Enumerable.Range(0, SubKeys * SubKeys).Select(i => (long)i)], keys.forward(query_NQ).Ids_THK);
    }

    [TestMethod]
    public void OptionsOutOfRangeAreNamed()
    {
        Refused("Keys is 17; it must be a perfect square, such as 16 or 25", new(17, 1, 1, 2, true));
        Refused("Keys is 0", new(0, 1, 1, 2, true));
        Refused("Heads is 0", new(16, 0, 1, 2, true));
        Refused("KeysPerHead is 5; it must be between 1 and the root of Keys (4)", new(16, 1, 5, 2, true));
        Refused("QueryWidth is 7; it must be even", new(16, 1, 1, 7, true));
        Refused("LearningRateScale is -1", new(16, 1, 1, 2, true) { LearningRateScale = -1 });
        using var keys = new ProductKeys(new ProductKeyOptions(16, 2, 1, 4, true));
        using var query = zeros(3, 7);
        Assert.Contains("(3, 7); (T, 8) is wanted", Assert.ThrowsExactly<ArgumentException>(() => keys.forward(query)).Message);

        static void Refused(string message, ProductKeyOptions options) =>
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(() => new ProductKeys(options)).Message);
    }

    private static void CompareWithAllKeys(int tokens, ProductKeyOptions options, Func<ProductKeys, Tensor, ProductKeyChoice> forward)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(7, CPU);
        using var keys = new ProductKeys(options);
        var query_TQ = randn(tokens, options.Heads * options.QueryWidth).requires_grad_(true);
        var weights_THK = randn(tokens, options.Heads, options.KeysPerHead);

        var (ids_THK, scores_THK) = forward(keys, query_TQ);
        (scores_THK * weights_THK).sum().backward();

        var exact_TQ = query_TQ.detach().to_type(float64).requires_grad_(true);
        var exact = keys.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().to_type(float64).requires_grad_(true));
        var (expectedIds_THK, expected_THK) = SearchAmongAll(options, exact_TQ, exact["rowKeys"], exact["columnKeys"]);
        (expected_THK * weights_THK).sum().backward();

        TensorAssert.AreEqual(expectedIds_THK.flatten().data<long>().ToArray(), ids_THK, "keys");
        TensorAssert.AreClose(expected_THK, scores_THK, 1e-4, "scores");
        if (tokens == 0)
            return;
        TensorAssert.AreClose(exact_TQ.grad!, query_TQ.grad!, 1e-4, "gradient of the queries");
        foreach (var (name, parameter) in keys.named_parameters())
            TensorAssert.AreClose(exact[name].grad!, parameter.grad!, 1e-4, $"gradient of {name}");
    }

    /// <summary>The definition: scores of all N = n² keys, key (i, j) at i·n + j, and the K largest.</summary>
    internal static (Tensor Ids_THK, Tensor Scores_THK) SearchAmongAll(
        ProductKeyOptions options, Tensor query_TQ, Tensor rowKeys, Tensor columnKeys)
    {
        var (half, heads) = (options.QueryWidth / 2, new List<(Tensor Scores, Tensor Ids)>());
        for (var head = 0; head < options.Heads; head++)
        {
            var query_TA = query_TQ.slice(1, head * options.QueryWidth, (head + 1) * options.QueryWidth, 1);
            var (rows_NA, columns_NA) = options.Shared ? (rowKeys, columnKeys) : (rowKeys[head], columnKeys[head]);
            var scores_TNN =
                query_TA.slice(1, 0, half, 1).matmul(rows_NA.T).unsqueeze(2)
                + query_TA.slice(1, half, 2 * half, 1).matmul(columns_NA.T).unsqueeze(1);
            heads.Add(scores_TNN.flatten(1).topk(options.KeysPerHead, 1));
        }
        return (stack(heads.Select(head => head.Ids), 1), stack(heads.Select(head => head.Scores), 1));
    }
}
