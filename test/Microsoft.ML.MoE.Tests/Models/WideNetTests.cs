using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

[TestClass]
public sealed class WideNetTests
{
    [TestMethod]
    public void EqualsTheFigureWrittenOut()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        var config = WideNetConfig.Tiny with
        {
            TrainingCapacity = null,
            RouterNoise = 0,
            ExpertsPerToken = 4,
            ClassToken = ClassToken.Zero,
            Representation = true,
        };
        using var model = config.Build();
        Randomise(model);
        var p = model.named_parameters().ToDictionary(pair => pair.name, pair => (Tensor)pair.parameter);
        var images_NCHW = randn(2, 3, 8, 8);

        var x_NLD =
            images_NCHW.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(2, 4, 48).matmul(p["patches.projection.weight"].T)
            + p["patches.projection.bias"];
        x_NLD = cat([zeros(2, 1, 16), x_NLD], 1) + p["positions"];
        for (var block = 0; block < 3; block++)
        {
            x_NLD = x_NLD + Attention(Norm(x_NLD, $"attentionNorms.{block}"));
            x_NLD = x_NLD + Mixture(Norm(x_NLD, $"mixtureNorms.{block}"));
        }
        var features_ND = (Norm(x_NLD, "finalNorm").mean([1]).matmul(p["representation.weight"].T) + p["representation.bias"]).tanh();
        var logits_NC = features_ND.matmul(p["classes.weight"].T) + p["classes.bias"];

        TensorAssert.AreClose(logits_NC, model.forward(images_NCHW).Logits_NC, 1e-4);

        Tensor Norm(Tensor x, string name) => nn.functional.layer_norm(x, [16], p[$"{name}.weight"], p[$"{name}.bias"], 1e-6);

        Tensor Attention(Tensor x)
        {
            var parts = (x.matmul(p["attentions.0.queryKeyValue.weight"].T) + p["attentions.0.queryKeyValue.bias"]).split(16, -1);
            var mixed = cat(Enumerable.Range(0, 2).Select(h =>
            {
                var (q, k, v) = (parts[0].narrow(2, h * 8, 8), parts[1].narrow(2, h * 8, 8), parts[2].narrow(2, h * 8, 8));
                return (q.matmul(k.transpose(1, 2)) / Math.Sqrt(8)).softmax(-1).matmul(v);
            }).ToArray(), -1);
            return mixed.matmul(p["attentions.0.output.weight"].T) + p["attentions.0.output.bias"];
        }

        Tensor Mixture(Tensor x)   // K = E: every expert, weighted by its probability
        {
            var probs = x.matmul(p["mixtures.0.router.weight"].T).softmax(-1);
            return Enumerable.Range(0, 4).Select(e =>
            {
                var hidden = nn.functional.gelu(x.matmul(p["mixtures.0.experts.weight1"][e]) + p["mixtures.0.experts.bias1"][e]);
                return probs.narrow(2, e, 1) * (hidden.matmul(p["mixtures.0.experts.weight2"][e]) + p["mixtures.0.experts.bias2"][e]);
            }).Aggregate((a, b) => a + b);
        }
    }

    [TestMethod]
    public void SharedGradientIsTheSumOverBlocks()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        var config = WideNetConfig.Tiny with { RouterNoise = 0, TrainingCapacity = null };
        using var shared = config.Build();
        Randomise(shared);
        using var separate = (config with { ShareParameters = false }).Build();
        var sharedParameters = shared.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        using (no_grad())
        {
            foreach (var (name, parameter) in separate.named_parameters())
                parameter.copy_(sharedParameters[SharedName(name)]);
        }
        var images_NCHW = randn(3, 3, 8, 8);
        var logits_NC = shared.forward(images_NCHW).Logits_NC;
        TensorAssert.AreClose(logits_NC, separate.forward(images_NCHW).Logits_NC);

        logits_NC.square().sum().backward();
        separate.forward(images_NCHW).Logits_NC.square().sum().backward();

        foreach (var group in separate.named_parameters().GroupBy(p => SharedName(p.name)))
            TensorAssert.AreClose(
                group.Select(p => p.parameter.grad!).Aggregate((a, b) => a + b), sharedParameters[group.Key].grad!, 1e-4, group.Key);

        static string SharedName(string name)
        {
            var parts = name.Split('.');
            return parts[0] is "attentions" or "mixtures" ? string.Join('.', [parts[0], "0", .. parts[2..]]) : name;
        }
    }

    [TestMethod]
    public void RoutesOncePerBlockOrPerGroup()
    {
        using var scope = NewDisposeScope();
        foreach (var (groups, operations) in new (int?, int)[] { (null, 12), (12, 12), (6, 6), (3, 3), (2, 2), (1, 1) })
        {
            using var model = (WideNetConfig.Tiny with { Blocks = 12, RoutingGroups = groups }).Build();
            Assert.HasCount(operations, model.forward(randn(2, 3, 8, 8)).Routing);
        }
    }

    [TestMethod]
    public void AuxiliaryLossIsTheWeightedSumOverRoutingOperations()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var model = (WideNetConfig.Tiny with { BalanceLossWeight = 0.5 }).Build();
        var output = model.forward(randn(4, 3, 8, 8));
        Assert.HasCount(3, output.Routing);
        Assert.AreEqual(0.5 * output.Routing.Sum(record => record.BalanceLoss.ToDouble()), output.AuxiliaryLoss.ToDouble(), 1e-5);
        using var dense = (WideNetConfig.Tiny with { Experts = 0 }).Build();
        Assert.AreEqual(0, dense.forward(randn(4, 3, 8, 8)).AuxiliaryLoss.ToDouble());
    }

    [TestMethod]
    public void BlocksOfAGroupShareTheirAssignment()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(4, CPU);
        var grouped = WideNetConfig.Tiny with { Blocks = 2, RoutingGroups = 1, RouterNoise = 0, TrainingCapacity = null };
        using var model = grouped.Build();
        Randomise(model);
        using var free = (grouped with { RoutingGroups = null }).Build();
        free.load_state_dict(model.state_dict());
        using var expertsOnly = (grouped with { RoutingReuse = RoutingReuse.Experts }).Build();
        expertsOnly.load_state_dict(model.state_dict());
        var images_NCHW = randn(4, 3, 8, 8);

        var both = model.forward(images_NCHW);
        var routed = free.forward(images_NCHW);
        TensorAssert.AreClose(routed.Routing[0].Gates_TK, both.Routing[0].Gates_TK);
        Assert.IsFalse(routed.Routing[0].ExpertIds_TK.Equals(routed.Routing[1].ExpertIds_TK), "a free second block routes otherwise");
        Assert.IsGreaterThan(1e-4, (routed.Logits_NC - both.Logits_NC).abs().max().ToDouble());
        Assert.IsGreaterThan(1e-6, (expertsOnly.forward(images_NCHW).Logits_NC - both.Logits_NC).abs().max().ToDouble());
    }

    [TestMethod]
    public void DropoutAndNoiseActInTrainingOnly()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(5, CPU);
        using var model = (WideNetConfig.Tiny with { Dropout = 0.5 }).Build();
        Randomise(model);
        var images_NCHW = randn(4, 3, 8, 8);
        Assert.IsGreaterThan(0, (model.forward(images_NCHW).Logits_NC - model.forward(images_NCHW).Logits_NC).abs().max().ToDouble());
        model.eval();
        Assert.AreEqual(0, (model.forward(images_NCHW).Logits_NC - model.forward(images_NCHW).Logits_NC).abs().max().ToDouble());
    }

    private static void Randomise(nn.Module model)
    {
        using var noGrad = no_grad();
        foreach (var parameter in model.parameters())
            parameter.add_(randn_like(parameter) * 0.1);
    }
}
