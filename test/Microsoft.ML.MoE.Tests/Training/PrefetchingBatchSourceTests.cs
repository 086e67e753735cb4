using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Training;

[TestClass]
public sealed class PrefetchingBatchSourceTests
{
    private static readonly TimeSpan Deadlock = TimeSpan.FromSeconds(30);   // never waited for unless a test fails

    [TestMethod]
    [DataRow(1)]
    [DataRow(3)]
    [DataRow(100)]
    public void BatchesComeInOrderFromAnotherThread(int lookAhead)
    {
        int consumer = Environment.CurrentManagedThreadId;
        var source = new Source(epoch => Enumerable.Range(epoch * 10, 7).Select(id => new Batch(id)));

        var batches = new PrefetchingBatchSource<Batch>(source, lookAhead).ReadEpoch(3, CancellationToken.None).ToArray();

        CollectionAssert.AreEqual(Enumerable.Range(30, 7).ToArray(), batches.Select(batch => batch.Id).ToArray());
        Assert.IsTrue(batches.All(batch => batch.MadeOn != consumer && !batch.Disposed));
    }

    [TestMethod]
    public void ReadsAsFarAheadAsAllowedAndNoFurther()
    {
        using var madeThree = new ManualResetEventSlim();
        int taken = 0, made = 0, furthest = 0;
        IEnumerable<Batch> Make()
        {
            for (int id = 0; id < 20; id++)
            {
                made++;
                furthest = Math.Max(furthest, made - Volatile.Read(ref taken));
                if (made == 3)
                    madeThree.Set();
                yield return new Batch(id);
            }
        }

        foreach (var _ in new PrefetchingBatchSource<Batch>(new Source(_ => Make()), lookAhead: 2).ReadEpoch(0, CancellationToken.None))
        {
            // The first batch is in use, and two more get made without being asked for.
            Assert.IsTrue(madeThree.Wait(Deadlock));
            Volatile.Write(ref taken, taken + 1);
        }

        Assert.AreEqual(20, made);
        Assert.AreEqual(3, furthest);   // two ahead, and the one that the consumer has taken but not yet counted
    }

    [TestMethod]
    public void AnExceptionArrivesAfterTheBatchesBeforeIt()
    {
        static IEnumerable<Batch> Make()
        {
            yield return new Batch(0);
            yield return new Batch(1);
            throw new InvalidDataException("row 17 is broken");
        }

        var seen = new List<int>();
        var exception = Assert.ThrowsExactly<InvalidDataException>(() =>
        {
            foreach (var batch in new PrefetchingBatchSource<Batch>(new Source(_ => Make())).ReadEpoch(0, CancellationToken.None))
                seen.Add(batch.Id);
        });

        Assert.AreEqual("row 17 is broken", exception.Message);
        CollectionAssert.AreEqual(new[] { 0, 1 }, seen);
    }

    [TestMethod]
    public void LeavingEarlyEndsTheSourceAndDisposesWhatNobodyTook()
    {
        using var third = new ManualResetEventSlim();
        var made = new List<Batch>();
        bool sourceEnded = false;
        IEnumerable<Batch> Make()
        {
            try
            {
                while (true)
                {
                    made.Add(new Batch(made.Count));
                    if (made.Count == 3)
                        third.Set();
                    yield return made[^1];
                }
            }
            finally
            {
                sourceEnded = true;
            }
        }

        foreach (var _ in new PrefetchingBatchSource<Batch>(new Source(_ => Make()), lookAhead: 2).ReadEpoch(0, CancellationToken.None))
        {
            Assert.IsTrue(third.Wait(Deadlock));
            break;
        }

        Assert.IsTrue(sourceEnded);
        CollectionAssert.AreEqual(new[] { false, true, true }, made.Select(batch => batch.Disposed).ToArray());
    }

    [TestMethod]
    public void CancellationReachesAConsumerThatWaitsAndASourceThatListens()
    {
        using var cancellation = new CancellationTokenSource();
        CancellationToken atSource = default;
        IEnumerable<Batch> Make(CancellationToken token)
        {
            atSource = token;
            yield return new Batch(0);
            cancellation.Cancel();
            token.WaitHandle.WaitOne(Deadlock);   // a slow read that listens to its token
            token.ThrowIfCancellationRequested();
        }

        var source = new Source((_, token) => Make(token));
        Assert.ThrowsExactly<OperationCanceledException>(() =>
        {
            foreach (var batch in new PrefetchingBatchSource<Batch>(source).ReadEpoch(0, cancellation.Token))
                batch.Dispose();
        });

        Assert.IsTrue(atSource.IsCancellationRequested);
    }

    [TestMethod]
    public void KnowsTheLengthThatItsSourceKnows()
    {
        Assert.AreEqual(4, new PrefetchingBatchSource<Batch>(new Source(_ => []) { BatchesPerEpoch = 4 }).BatchesPerEpoch);
        Assert.IsNull(new PrefetchingBatchSource<Batch>(new Source(_ => [])).BatchesPerEpoch);
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new PrefetchingBatchSource<Batch>(new Source(_ => []), 0)).Message,
            "lookAhead is 0");
    }

    private sealed class Batch(int id) : IDisposable
    {
        public int Id => id;

        public int MadeOn { get; } = Environment.CurrentManagedThreadId;

        public bool Disposed { get; private set; }

        public void Dispose() => Disposed = true;
    }

    private sealed class Source(Func<int, CancellationToken, IEnumerable<Batch>> read) : IBatchSource<Batch>
    {
        public Source(Func<int, IEnumerable<Batch>> read) : this((epoch, _) => read(epoch))
        {
        }

        public int? BatchesPerEpoch { get; init; }

        public IEnumerable<Batch> ReadEpoch(int epoch, CancellationToken cancellationToken) => read(epoch, cancellationToken);
    }
}
