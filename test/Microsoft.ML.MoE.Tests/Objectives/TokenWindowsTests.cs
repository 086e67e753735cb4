using Microsoft.ML.MoE.Objectives;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Objectives;

[TestClass]
public sealed class TokenWindowsTests
{
    [TestMethod]
    [DataRow(100, 10, 3)]
    [DataRow(103, 10, 4)]
    [DataRow(7, 10, 2)]
    [DataRow(1, 4, 1)]
    public void AnEpoch_PredictsEachTokenOnce_ButForARest(int count, int context, int batchSize)
    {
        var length = Math.Min(context, count);
        var source = new TokenWindows([.. Enumerable.Range(0, count)], context, batchSize, seed: 1);
        var windows = Read(source, 0);
        Assert.AreEqual((windows.Sum(batch => batch.Length) + batchSize - 1) / batchSize, source.BatchesPerEpoch);
        var targets = windows.SelectMany(batch => batch).SelectMany(window => window.Targets).ToArray();
        Assert.HasCount(count / length * length, targets);
        Assert.HasCount(targets.Length, targets.Distinct().ToArray());
        foreach (var (inputs, followers) in windows.SelectMany(batch => batch))
            CollectionAssert.AreEqual(
                inputs.Select(token => (token + 1) % count).ToArray(), followers, "the target is the token after, round the ring");
    }

    [TestMethod]
    public void TheOrder_DependsOnSeedAndEpochOnly()
    {
        var first = new TokenWindows([.. Enumerable.Range(0, 200)], 8, 4, seed: 1);
        var second = new TokenWindows([.. Enumerable.Range(0, 200)], 8, 4, seed: 1);
        var other = new TokenWindows([.. Enumerable.Range(0, 200)], 8, 4, seed: 2);
        Assert.AreEqual(Text(first, 3), Text(second, 3), "an epoch can be read again, in another process too");
        Assert.AreNotEqual(Text(first, 0), Text(first, 1));
        Assert.AreNotEqual(Text(first, 0), Text(other, 0));
        Assert.AreNotEqual(
            Read(first, 0)[0][0].Inputs[0] % 8, Read(first, 1)[0][0].Inputs[0] % 8, "windows begin elsewhere in another epoch");

        static string Text(TokenWindows source, int epoch) =>
            string.Join(" ", Read(source, epoch).SelectMany(batch => batch).Select(window => window.Inputs[0]));
    }

    [TestMethod]
    public void Documents_AreJoinedBySeparators() =>
        CollectionAssert.AreEqual(new[] { 9, 1, 2, 9, 9, 3 }, TokenWindows.Join([[1, 2], [], [3]], 9));

    [TestMethod]
    public void Reading_CanBeCancelled()
    {
        using var cancel = new CancellationTokenSource();
        using var reader = new TokenWindows([.. Enumerable.Range(0, 100)], 10, 1, seed: 1).ReadEpoch(0, cancel.Token).GetEnumerator();
        Assert.IsTrue(reader.MoveNext());
        reader.Current.Dispose();
        cancel.Cancel();
        Assert.ThrowsExactly<OperationCanceledException>(() => reader.MoveNext());
    }

    [TestMethod]
    public void BadArguments_AreNamed()
    {
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => new TokenWindows([], 1, 1, 1)).Message, "no tokens");
        StringAssert.StartsWith(Assert.ThrowsExactly<ArgumentException>(() => new TokenWindows([1], 0, 1, 1)).Message, "contextLength");
        StringAssert.StartsWith(Assert.ThrowsExactly<ArgumentException>(() => new TokenWindows([1], 1, 0, 1)).Message, "batchSize");
    }

    private static (int[] Inputs, int[] Targets)[][] Read(TokenWindows source, int epoch)
    {
        var batches = new List<(int[], int[])[]>();
        foreach (var batch in source.ReadEpoch(epoch, CancellationToken.None))
        {
            using var owned = batch;
            var length = (int)batch.Inputs_NL.shape[1];
            batches.Add([.. Numbers(batch.Inputs_NL).Chunk(length).Zip(Numbers(batch.Targets_NL).Chunk(length))]);
        }
        return [.. batches];
    }

    private static int[] Numbers(TorchSharp.torch.Tensor tensor) => Array.ConvertAll(tensor.data<long>().ToArray(), number => (int)number);
}
