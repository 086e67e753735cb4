using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Runtime;

[TestClass]
public sealed class ScopeTests
{
    [TestInitialize]
    public void Initialize() => TorchRuntime.Initialize();

    [TestMethod]
    public void Same_seed_same_numbers()
    {
        Assert.AreSequenceEqual(Seeded(7), Seeded(7));
        Assert.AreSequenceEqual(Seeded(-7), Seeded(-7));
        Assert.IsFalse(Seeded(7).SequenceEqual(Seeded(8)));

        static float[] Seeded(long seed)
        {
            using var scope = new SeedScope(seed, CPU);
            return Numbers();
        }
    }

    [TestMethod]
    public void Numbers_after_a_seed_scope_are_those_without_it()
    {
        using var outer = new SeedScope(3, CPU);
        _ = Numbers(); // 5 normals: an odd number leaves one of a pair in the generator's state
        float[] expected;
        using (var generator = Generator.Default)
        using (var state = generator.get_state())
        {
            expected = [.. Numbers(), .. Numbers()];
            generator.set_state(state);
        }

        using (new SeedScope(99, CPU))
        using (NewDisposeScope())
        {
            _ = Numbers();
            using (new SeedScope(100, CPU))
                _ = Numbers();
        }

        Assert.AreSequenceEqual(expected, [.. Numbers(), .. Numbers()]);
    }

    [TestMethod]
    public void A_seed_scope_survives_the_dispose_scope_it_began_in_and_restores_once()
    {
        float[] expected;
        using (new SeedScope(3, CPU))
            expected = [.. Numbers(), .. Numbers()];

        using var outer = new SeedScope(3, CPU);
        SeedScope inner;
        using (NewDisposeScope())
            inner = new SeedScope(99, CPU);
        inner.Dispose();
        var first = Numbers();
        inner.Dispose();
        Assert.AreSequenceEqual(expected, [.. first, .. Numbers()]);
    }

    [TestMethod]
    public void A_seed_scope_leaves_no_tensor_behind()
    {
        using var scope = NewDisposeScope();
        new SeedScope(1, CPU).Dispose();
        Assert.AreEqual(0, scope.DisposablesCount);
    }

    [TestMethod]
    public void A_thread_scope_sets_and_restores_the_number_of_threads()
    {
        var before = get_num_threads();
        using (new ThreadScope(before + 1))
        {
            Assert.AreEqual(before + 1, get_num_threads());
            using (new ThreadScope(null))
                Assert.AreEqual(before + 1, get_num_threads());
            using (new ThreadScope(1))
                Assert.AreEqual(1, get_num_threads());
            Assert.AreEqual(before + 1, get_num_threads());
        }

        Assert.AreEqual(before, get_num_threads());
    }

    [TestMethod]
    [DataRow(0)]
    [DataRow(-2)]
    public void A_number_of_threads_below_one_is_refused(int threads)
    {
        var error = Assert.ThrowsExactly<ArgumentOutOfRangeException>(() => new ThreadScope(threads));
        Assert.AreEqual(threads, error.ActualValue);
        Assert.Contains("at least 1", error.Message);
    }

    private static float[] Numbers()
    {
        using var numbers = randn(5);
        return numbers.data<float>().ToArray();
    }
}
