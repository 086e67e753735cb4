using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Layers;

/// <summary>The weighted mean of tokens.</summary>
[TestClass]
public sealed class AttentionPoolingTests
{
    [TestMethod]
    [DataRow(1, 1)]
    [DataRow(3, 7)]
    public void EqualsThePlainDefinition_WithAllGradients(int images, int tokens)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        using var pooling = new AttentionPooling(5);
        var parameter = pooling.parameters().Single();
        using (no_grad())
            parameter.add_(randn(5));
        var query = parameter.detach().clone().requires_grad_();
        var x_NLD = randn(images, tokens, 5).requires_grad_();
        var mine_NLD = x_NLD.detach().clone().requires_grad_();

        var weights_NL1 = (x_NLD * query).sum(-1, keepdim: true).exp();
        var plain_ND = (x_NLD * weights_NL1 / weights_NL1.sum(1, keepdim: true)).sum(1);
        var mine_ND = pooling.forward(mine_NLD);
        TensorAssert.AreClose(plain_ND, mine_ND);

        var weights_ND = randn_like(plain_ND);
        (plain_ND * weights_ND).sum().backward();
        (mine_ND * weights_ND).sum().backward();
        TensorAssert.AreClose(x_NLD.grad!, mine_NLD.grad!);
        TensorAssert.AreClose(query.grad!, parameter.grad!);
    }

    [TestMethod]
    public void AtTheStartItIsTheMean()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        using var pooling = new AttentionPooling(5);
        var x_NLD = randn(3, 4, 5);
        TensorAssert.AreClose(x_NLD.mean([1]), pooling.forward(x_NLD));
    }
}
