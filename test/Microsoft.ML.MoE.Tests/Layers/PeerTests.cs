using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Routing;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Tests.Training;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Layers;

[TestClass]
public sealed class PeerTests
{
    private static readonly PeerOptions Small = new() { Experts = 64, Heads = 3, ExpertsPerHead = 4, QueryWidth = 10 };

    public static IEnumerable<object[]> Variants =>
    [
        [Small, 9, 12],
        [Small with { Gate = GateFunction.Sigmoid, Activation = NeuronActivation.Relu }, 9, 12],
        [Small with { Gated = true, QueryBatchNorm = false }, 9, 12],
        [Small with { Gated = true, Activation = NeuronActivation.Relu, SharedSubKeys = false }, 6, 33],
        [Small with { Experts = 1, ExpertsPerHead = 1 }, 4, 5],
        [Small with { Experts = 400, Heads = 2, ExpertsPerHead = 18, QueryBatchNorm = false }, 1, 20],
    ];

    [TestMethod]
    [DynamicData(nameof(Variants))]
    public void EqualsTheDefinitionTokenByTokenInOutputAndEveryGradient(PeerOptions options, int tokens, int width)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(21, CPU);
        using var layer = new Peer(width, options);
        Randomise(layer);
        var x_TD = randn(tokens, width).requires_grad_(true);
        var weights_TD = randn(tokens, width);

        var output = layer.forward(x_TD);
        (output.Output_TD * weights_TD).sum().backward();

        var exact = layer.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().to_type(float64).requires_grad_(true));
        var exact_TD = x_TD.detach().to_type(float64).requires_grad_(true);
        var expected_TD = Define(options, exact_TD, exact);
        (expected_TD * weights_TD).sum().backward();

        TensorAssert.AreClose(expected_TD, output.Output_TD, 1e-4, "output");
        TensorAssert.AreClose(exact_TD.grad!, x_TD.grad!, 1e-4, "gradient of the tokens");
        foreach (var (name, parameter) in layer.named_parameters())
        {
            var expected = exact[name].grad ?? zeros_like(exact[name]);
            var actual = name.StartsWith("experts.", StringComparison.Ordinal)
                ? layer.Experts.Gradient!.ToDense(name["experts.".Length..])
                : parameter.grad ?? zeros_like(parameter);
            TensorAssert.AreClose(expected, actual, 1e-4, $"gradient of {name}");
        }
    }

    [TestMethod]
    [DataRow(0.25)]
    [DataRow(0.0)]
    public void KeysLearnAtARateOfTheirOwn(double scale)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var layer = new Peer(6, Small with { Experts = 9, ExpertsPerHead = 3, KeyLearningRateScale = scale });
        var before = layer.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().clone());
        var x_TD = randn(8, 6);
        var options = new TrainingOptions
        {
            Epochs = 1,
            LearningRate = 0.01,
            FinalLearningRate = 0.01,
            WarmupSteps = 0,
            WeightDecay = 0,
            GradientClipNorm = null,
            Epsilon = 1e-20,
        };

        new TrainingLoop<int>(layer, _ => new(layer.forward(x_TD).Output_TD.square().sum(), zeros([]), 1), options).Run(
            new NumberedBatches(1));

        // Adam's first step is the rate, up or down, for each number; every sub-key is found here.
        // Batch normalisation takes a bias before it away.
        foreach (var (name, parameter) in layer.named_parameters().Where(p => !p.name.EndsWith("bias", StringComparison.Ordinal)))
            TensorAssert.AreClose(
                full_like(parameter, name.StartsWith("keys.", StringComparison.Ordinal) ? 0.01 * scale : 0.01),
                (parameter - before[name]).abs(),
                1e-6,
                name);
    }

    [TestMethod]
    public void WithOneExpertAHeadItIsANetworkOfAsManyNeuronsAsHeads()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(5, CPU);
        using var layer = new Peer(8, Small with { Heads = 5, ExpertsPerHead = 1 });
        var x_TD = randn(6, 8);
        var output = layer.forward(x_TD);
        TensorAssert.AreClose(ones(6, 5), output.Selection!.Gates, 0, "gates");
        var tables = layer.Experts.Tables.ToDictionary();
        for (var t = 0; t < 6; t++)
        {
            var ids_H = output.Selection.ExpertIds[t];
            var (inner_HD, outer_HD) = (tables["down"].index_select(0, ids_H), tables["up"].index_select(0, ids_H));
            TensorAssert.AreClose(nn.functional.gelu(inner_HD.mv(x_TD[t])).matmul(outer_HD), output.Output_TD[t], 1e-5, $"token {t}");
        }
    }

    [TestMethod]
    public void GatesOfAHeadSumToOneWithSoftmaxAndAreLogisticFunctionsWithSigmoid()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(6, CPU);
        using var layer = new Peer(8, Small);
        var output = layer.forward(randn(6, 8));
        CollectionAssert.AreEqual(new long[] { 6, 12 }, output.Selection!.ExpertIds.shape);
        Assert.AreEqual(64, output.Selection.Experts);
        TensorAssert.AreClose(ones(6, 3), output.Selection.Gates.view(6, 3, 4).sum(-1), 1e-6);
        Assert.IsNull(output.AuxiliaryLoss);
        Assert.IsFalse(output.Selection.Gates.requires_grad);
    }

    [TestMethod]
    public void TheTablesStartAsTheMemorysValuesAndTheKeysAsItsKeys()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(9, CPU);
        using var layer = new Peer(64, Small with { Experts = 4096, QueryWidth = 50 });
        foreach (var (name, table) in layer.Experts.Tables)
        {
            Assert.AreEqual(1 / 8.0, table.std().ToDouble(), 1e-3, name);
            Assert.IsFalse(table.requires_grad, "autograd must not make a gradient as large as the table");
        }
        var keys = layer.named_parameters().Single(p => p.name == "keys.rowKeys").parameter;
        Assert.AreEqual(1 / 5.0, keys.abs().max().ToDouble(), 1e-3);
        Assert.AreEqual(1 / 5.0 / Math.Sqrt(3), keys.std().ToDouble(), 5e-3);
    }

    [TestMethod]
    public void GradientsOfBackwardPassesAddUpUntilTheyAreDropped()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(8, CPU);
        using var layer = new Peer(8, Small with { QueryBatchNorm = false });
        var (first_TD, second_TD) = (randn(5, 8), randn(3, 8));
        layer.forward(first_TD).Output_TD.square().sum().backward();
        var first = layer.Experts.Gradient!.ToDense("up");
        Assert.AreEqual(5 * 12, layer.Experts.Gradient.Pairs);
        layer.forward(second_TD).Output_TD.square().sum().backward();
        var both = layer.Experts.Gradient.ToDense("up");
        CollectionAssert.AreEqual(
            both.abs().sum(1).nonzero().flatten().data<long>().ToArray(), layer.Experts.Gradient.Rows().data<long>().ToArray(), "rows");
        layer.Experts.ClearGradient();
        Assert.IsNull(layer.Experts.Gradient);
        layer.forward(second_TD).Output_TD.square().sum().backward();
        TensorAssert.AreClose(both, first + layer.Experts.Gradient!.ToDense("up"), 1e-6);
        Assert.Contains(
            "no table 'left', only 'down', 'up'",
            Assert.ThrowsExactly<ArgumentException>(() => layer.Experts.Gradient.ToDense("left")).Message);
    }

    [TestMethod]
    public void TablesGetTheirGradientWhereNothingElseNeedsOne()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(8, CPU);
        using var layer = new Peer(8, Small);
        foreach (var parameter in layer.parameters())
            parameter.requires_grad_(false);
        layer.forward(randn(5, 8)).Output_TD.sum().backward();
        Assert.AreEqual(5 * 12, layer.Experts.Gradient!.Pairs);
    }

    [TestMethod]
    public void StepsLeaveNoTensorBehind()
    {
        using var layer = new Peer(8, Small);
        Step();
        var before = LiveTensors.Count();
        for (var i = 0; i < 300; i++)
            Step();
        Assert.AreEqual(before, Tensor.TotalCount);

        void Step()
        {
            using var scope = NewDisposeScope();
            layer.forward(randn(7, 8), ones([7], @bool)).Output_TD.square().sum().backward();
            layer.zero_grad(set_to_none: true);
            layer.Experts.ClearGradient();
        }
    }

    [TestMethod]
    public void ExpertsThatDoNotExistAreRefused()
    {
        using var scope = NewDisposeScope();
        using var tables = new ExpertTables(ExpertKind.Neuron, 10, 4, NeuronActivation.Gelu, new());
        Refused("experts from 0 to 10; there are those from 0 to 9", zeros(2, 4), zeros(2, 2), tensor(new[] { 0L, 1, 10, 2 }, [2, 2]));
        Refused("experts from -1", zeros(2, 4), zeros(2, 2), tensor(new[] { 0L, -1, 1, 2 }, [2, 2]));
        Refused("The tokens are Float32 (2, 5); Float32 (T, 4) is wanted", zeros(2, 5), zeros(2, 2), zeros([2, 2], int64));
        Refused("The gates are Float32 (3, 2); Float32 (2, M) is wanted", zeros(2, 4), zeros(3, 2), zeros([3, 2], int64));
        Refused("The experts are Int32 (2, 2); Int64 (2, 2) is wanted", zeros(2, 4), zeros(2, 2), zeros([2, 2], int32));

        void Refused(string message, Tensor x_TD, Tensor gates_TM, Tensor ids_TM) =>
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(() => tables.forward(x_TD, gates_TM, ids_TM)).Message);
    }

    [TestMethod]
    public void TablesThatDoNotFitIntoMemoryAreRefusedBeforeTheyAreMade()
    {
        var options = new PeerOptions { Experts = 16_384 * 16_384, Tables = new() { Precision = TablePrecision.BFloat16 } };
        var error = Assert.ThrowsExactly<InvalidOperationException>(() => new Peer(65_536, options));
        Assert.Contains("2 tables of 268,435,456 experts of width 65536 in BFloat16: 70368.7 GB of memory are needed, and", error.Message);
    }

    private static void Randomise(nn.Module module)
    {
        using var noGrad = no_grad();
        foreach (var parameter in module.parameters())
            parameter.normal_(0, 0.5);
    }

    // Every token by itself, every key scored, in float64.
    private static Tensor Define(PeerOptions options, Tensor x_TD, Dictionary<string, Tensor> weights)
    {
        var query_TQ = x_TD.matmul(weights["query.projection.weight"].T) + weights["query.projection.bias"];
        if (options.QueryBatchNorm)
        {
            var centred = query_TQ - query_TQ.mean([0]);
            query_TQ = (centred / (centred.square().mean([0]) + 1e-5).sqrt() * weights["query.norm.weight"]) + weights["query.norm.bias"];
        }
        var (ids_THK, scores_THK) = ProductKeysTests.SearchAmongAll(
            options.Keys, query_TQ, weights["keys.rowKeys"], weights["keys.columnKeys"]);
        var rows = new List<Tensor>();
        for (var t = 0; t < x_TD.shape[0]; t++)
        {
            var y_D = zeros([x_TD.shape[1]], float64);
            for (var h = 0; h < options.Heads; h++)
            {
                var gates_K = options.Gate == GateFunction.Softmax ? scores_THK[t, h].softmax(0) : 1 / (1 + (-scores_THK[t, h]).exp());
                for (var k = 0; k < options.ExpertsPerHead; k++)
                {
                    var id = ids_THK[t, h, k].ToInt64();
                    var product = weights["experts.down"][id].dot(x_TD[t]);
                    var hidden = options.Gated ? Activate(weights["experts.gate"][id].dot(x_TD[t])) * product : Activate(product);
                    y_D = y_D + (gates_K[k] * hidden * weights["experts.up"][id]);
                }
            }
            rows.Add(y_D);
        }
        return stack(rows);

        Tensor Activate(Tensor x) => options.Activation == NeuronActivation.Relu ? nn.functional.relu(x) : nn.functional.gelu(x);
    }
}
