using Microsoft.ML.MoE.Generation;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Generation;

[TestClass]
public sealed class TokenSamplerTests
{
    // Probabilities 0.5, 0.25, 0.125, 0.125.
    private static readonly float[] Scores = [.. new[] { 0.125, 0.5, 0.125, 0.25 }.Select(p => (float)Math.Log(p))];

    [TestMethod]
    public void Draws_FollowTheProbabilities()
    {
        var shares = Shares(new SamplingOptions());
        Assert.AreEqual(0.125, shares[0], 0.02);
        Assert.AreEqual(0.5, shares[1], 0.02);
        Assert.AreEqual(0.125, shares[2], 0.02);
        Assert.AreEqual(0.25, shares[3], 0.02);
    }

    [TestMethod]
    public void Temperature_SharpensOrFlattens()
    {
        // At 1/2 the probabilities are squared and scaled: 0.25, 0.0625, 0.015625 twice, together 0.34375.
        Assert.AreEqual(0.25 / 0.34375, Shares(new SamplingOptions { Temperature = 0.5 })[1], 0.02);
        var flat = Shares(new SamplingOptions { Temperature = 1000 });
        Assert.AreEqual(0.25, flat[0], 0.02);
        CollectionAssert.AreEqual(new[] { 0.0, 1.0, 0.0, 0.0 }, Shares(SamplingOptions.Greedy));
    }

    [TestMethod]
    public void TopK_LeavesTheMostProbable()
    {
        var shares = Shares(new SamplingOptions { TopK = 2 });
        Assert.AreEqual(0.5 / 0.75, shares[1], 0.02);
        Assert.AreEqual(0.25 / 0.75, shares[3], 0.02);
        Assert.AreEqual(0, shares[0] + shares[2]);
        Assert.AreEqual(0.125, Shares(new SamplingOptions { TopK = 100 })[0], 0.02, "more than there are");
        CollectionAssert.AreEqual(new[] { 0.0, 1.0, 0.0, 0.0 }, Shares(new SamplingOptions { TopK = 1 }));
    }

    [TestMethod]
    public void TopP_LeavesTheFewestThatReachIt()
    {
        Assert.AreEqual(0, Shares(new SamplingOptions { TopP = 0.7 })[0], "0.5 + 0.25 reach 0.7");
        Assert.AreEqual(
            0.125 / 0.875, Shares(new SamplingOptions { TopP = 0.8 })[0], 0.02, "of two that are alike the smaller id comes first");
        Assert.AreEqual(0, Shares(new SamplingOptions { TopP = 0.8 })[2]);
        CollectionAssert.AreEqual(new[] { 0.0, 1.0, 0.0, 0.0 }, Shares(new SamplingOptions { TopP = 0.4 }));
        Assert.AreEqual(0.125, Shares(new SamplingOptions { TopP = 1 })[2], 0.02);

        // Of the best two, 2/3 and 1/3, the first alone reaches 0.6.
        CollectionAssert.AreEqual(new[] { 0.0, 1.0, 0.0, 0.0 }, Shares(new SamplingOptions { TopK = 2, TopP = 0.6 }));
    }

    [TestMethod]
    public void ThePenalty_WeakensWhatIsThere()
    {
        var sampler = new TokenSampler(SamplingOptions.Greedy with { RepetitionPenalty = 2 }, 1);
        Assert.AreEqual(1, sampler.Next([3, 4, -1], []));
        Assert.AreEqual(0, sampler.Next([3, 4, -1], [1, 1]), "4 becomes 2, once however often it is there");
        Assert.AreEqual(1, sampler.Next([-3, -2, -2.5f], []));
        Assert.AreEqual(2, sampler.Next([-3, -2, -2.5f], [1]), "-2 becomes -4");
    }

    [TestMethod]
    public void TheSeed_DecidesTheDraws()
    {
        Assert.AreEqual(Draw(5), Draw(5));
        Assert.AreNotEqual(Draw(5), Draw(6));

        static string Draw(int seed)
        {
            var sampler = new TokenSampler(new SamplingOptions(), seed);
            return string.Concat(Enumerable.Range(0, 40).Select(_ => sampler.Next(Scores, [])));
        }
    }

    [TestMethod]
    public void ImpossibleTokens_NeverCome()
    {
        var sampler = new TokenSampler(new SamplingOptions { Temperature = 5, TopK = 3 }, 1);
        for (var i = 0; i < 200; i++)
            Assert.AreEqual(1, sampler.Next([float.NegativeInfinity, 0, float.NegativeInfinity], []));
    }

    [TestMethod]
    public void BadScoresAndOptions_AreNamed()
    {
        var sampler = new TokenSampler(new SamplingOptions(), 1);
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => sampler.Next([0, float.NaN], [])).Message, "token 1");
        Assert.ThrowsExactly<ArgumentException>(() => sampler.Next([float.PositiveInfinity], []));
        Assert.ThrowsExactly<ArgumentException>(() => sampler.Next([float.NegativeInfinity], []));
        Assert.ThrowsExactly<ArgumentException>(() => sampler.Next([], []));
        foreach (
            var (options, name) in new[]
            {
                (new SamplingOptions { Temperature = -1 }, "Temperature"),
                (new SamplingOptions { Temperature = double.NaN }, "Temperature"),
                (new SamplingOptions { TopK = 0 }, "TopK"),
                (new SamplingOptions { TopP = 0 }, "TopP"),
                (new SamplingOptions { TopP = 1.1 }, "TopP"),
                (new SamplingOptions { RepetitionPenalty = 0.9 }, "RepetitionPenalty"),
            }
        )
            StringAssert.StartsWith(Assert.ThrowsExactly<ArgumentException>(() => new TokenSampler(options, 1)).Message, name);
    }

    private static double[] Shares(SamplingOptions options)
    {
        const int Draws = 4000;
        var sampler = new TokenSampler(options, 7);
        var counts = new double[Scores.Length];
        for (var i = 0; i < Draws; i++)
            counts[sampler.Next(Scores, [])]++;
        return Array.ConvertAll(counts, count => count / Draws);
    }
}
