using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

[TestClass]
public sealed class ScoringViewsTests
{
    [TestMethod]
    public void TheScoresAreTheMeanOfThoseOfTheViews()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        using var model = WideNetConfig.Tiny.Build();
        using (no_grad())
        {
            foreach (var parameter in model.parameters())
                parameter.copy_(randn(parameter.shape, generator: generator) * 0.3);   // the head starts as 0
        }
        model.eval();
        var images = randn(3, 3, 8, 8, generator: generator);
        var all = new List<(double Weight, Tensor Images)> { (0.25, images), (0.25, images.flip(3)) };
        foreach (var shift in new[] { -1, 1 })
        {
            // Pixel for pixel: -1 stands for 1 and 8 for 6.
            var shifted = zeros_like(images);
            for (var y = 0; y < 8; y++)
            {
                for (var x = 0; x < 8; x++)
                    shifted[.., .., y, x] = images[.., .., Reflected(y + shift), Reflected(x + shift)];
            }
            all.AddRange([(0.125, shifted), (0.125, shifted.flip(3))]);
        }

        // In memory, as a plan is given them.
        foreach (var (view, (weight, wanted)) in ScoringViews.MirroredAndShifted.Each().Zip(all))
        {
            var numbers = images.data<float>().ToArray();
            view.Apply(numbers, 8, 8);
            CollectionAssert.AreEqual(wanted.contiguous().data<float>().ToArray(), numbers, $"{view}");
            Assert.AreEqual(weight, view.Weight, $"{view}");
        }

        AssertMean(ScoringViews.One, [(1, images)]);
        AssertMean(ScoringViews.Mirrored, [(0.5, images), (0.5, images.flip(3))]);
        AssertMean(ScoringViews.MirroredAndShifted, all);
        CollectionAssert.AreEqual(new[] { 1, 2, 6 }, Enum.GetValues<ScoringViews>().Select(views => views.Count()).ToArray());

        void AssertMean(ScoringViews views, IEnumerable<(double Weight, Tensor Images)> weighted)
        {
            var outputs = weighted.Select(view => (view.Weight, Output: model.call(view.Images))).ToArray();
            var (logits, features) = views.Average(model, images);
            TensorAssert.AreClose(Mean(outputs.Select(view => view.Output.Logits_NC * view.Weight)), logits, 1e-5, $"{views}");
            TensorAssert.AreClose(Mean(outputs.Select(view => view.Output.Features_ND * view.Weight)), features, 1e-5, $"{views}");
        }

        static Tensor Mean(IEnumerable<Tensor> terms) => stack(terms.ToArray()).sum([0]);

        static int Reflected(int place) => place < 0 ? -place : place > 7 ? 14 - place : place;
    }

    [TestMethod]
    public void NoTensorIsLeftBehind()
    {
        using var scope = NewDisposeScope();
        using var model = WideNetConfig.Tiny.Build();
        model.eval();
        var images = randn(2, 3, 8, 8);
        foreach (var views in Enum.GetValues<ScoringViews>())
        {
            var before = LiveTensors.Count();
            using (var inner = NewDisposeScope())
                _ = views.Average(model, images);
            Assert.AreEqual(before, Tensor.TotalCount, $"{views}");
        }
    }
}
