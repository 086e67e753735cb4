using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;
using Dropout = Microsoft.ML.MoE.Layers.Dropout;

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

    [TestMethod]
    public void Seed_scopes_that_overlap_leave_the_generator_as_the_first_one_found_it_in_whatever_order_they_end()
    {
        int[][] orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
        foreach (var order in orders)
        {
            using var outer = new SeedScope(3, CPU);
            float[] expected;
            using (var generator = Generator.Default)
            using (var state = generator.get_state())
            {
                expected = Numbers();
                generator.set_state(state);
            }

            var scopes = Enumerable.Range(10, 3).Select(seed =>
            {
                var scope = new SeedScope(seed, CPU);
                _ = Numbers();
                return scope;
            }).ToArray();
            foreach (var place in order)
            {
                scopes[place].Dispose();
                if (place != order[^1])
                    _ = Numbers();
            }

            Assert.AreSequenceEqual(expected, Numbers(), string.Join(", ", order));
        }
    }

    [TestMethod]
    public void Thread_scopes_that_overlap_have_their_own_numbers_and_leave_none_to_others_in_whatever_order_they_end()
    {
        var before = OnNewThread(get_num_threads);
        using Barrier step = new(2);
        var seen = new int[2, 3];
        var threads = Enumerable.Range(0, 2).Select(who => new Thread(() =>
        {
            ThreadScope? scope = null;
            InTurn(() => seen[who, 0] = get_num_threads());
            InTurn(() => scope = new ThreadScope(before + 1 + who));
            seen[who, 1] = get_num_threads();
            InTurn(() => scope!.Dispose());   // the one that was made first ends first
            seen[who, 2] = get_num_threads();

            void InTurn(Action action)
            {
                for (var turn = 0; turn < 2; turn++)
                {
                    if (turn == who)
                        action();
                    step.SignalAndWait();
                }
            }
        })).ToArray();
        foreach (var thread in threads)
            thread.Start();
        foreach (var thread in threads)
            thread.Join();

        Assert.AreSequenceEqual([before, before + 1, before, before, before + 2, before], seen.Cast<int>().ToArray());
        Assert.AreEqual(before, OnNewThread(get_num_threads));
    }

    [TestMethod]
    public void A_number_of_threads_that_the_program_sets_is_what_others_begin_with_while_a_scope_is_open()
    {
        var (before, here) = (OnNewThread(get_num_threads), get_num_threads());
        using (new ThreadScope(here + 3))
        {
            OnNewThread(() =>
            {
                set_num_threads(before + 1);
                return 0;
            });
            Assert.AreEqual(before + 1, OnNewThread(get_num_threads));
            Assert.AreEqual(here + 3, get_num_threads());
        }

        Assert.AreEqual(here, get_num_threads());
        Assert.AreEqual(before + 1, OnNewThread(get_num_threads));
        OnNewThread(() =>
        {
            set_num_threads(before);
            return 0;
        });
        Assert.AreEqual(before, OnNewThread(get_num_threads));
    }

    [TestMethod]
    public void Where_only_libtorch_can_set_the_number_of_threads_it_is_the_calling_threads_too()
    {
        var before = OnNewThread(get_num_threads);
        OnNewThread(() =>
        {
            Assert.AreEqual(before, get_num_threads());
            ThreadScope.SetThroughLibtorch(before + 2);
            Assert.AreEqual(before + 2, get_num_threads());
        });
        Assert.AreEqual(before, OnNewThread(get_num_threads));
    }

    [TestMethod]
    public void Numbers_of_a_generator_scope_are_those_of_the_process_after_the_same_seed_and_are_taken_from_no_one()
    {
        using var dispose = NewDisposeScope();
        Tensor[] expected;
        using (new SeedScope(5, CPU))
            expected = Drawn();

        using var outer = new SeedScope(3, CPU);
        var ofProcess = State();
        using (new GeneratorScope(5, CPU))
        {
            Tensor[] inner;
            using (new GeneratorScope(5, CPU))
                inner = Drawn();
            var drawn = Drawn();
            OnNewThread(() => Assert.IsNull(GeneratorScope.Current));
            for (var i = 0; i < expected.Length; i++)
            {
                TensorAssert.AreClose(expected[i], drawn[i], 0);
                TensorAssert.AreClose(expected[i], inner[i], 0);
            }
        }

        Assert.AreSequenceEqual(ofProcess, State());
        Assert.IsNull(GeneratorScope.Current);

        static Tensor[] Drawn()
        {
            var x = empty(4, 3);
            return
            [
                Draws.Uniform(empty(4, 3), -2, 3),
                Draws.Normal(empty(4, 3), 1, 2),
                Draws.XavierUniform(empty(4, 3)),
                Draws.Uniform([4, 3], CPU),
                Draws.UniformLike(x),
                Draws.NormalLike(x),
                Draws.OnesLike(x, 0.4),
                tensor(Draws.Integer()),
            ];
        }
    }

    [TestMethod]
    public void Without_a_scope_draws_are_those_of_torchs_own_functions()
    {
        using var dispose = NewDisposeScope();
        var x = zeros(40, 30);
        Compare(() => nn.init.xavier_uniform_(empty(40, 30)), () => Draws.XavierUniform(empty(40, 30)));
        Compare(() => nn.init.uniform_(empty(40, 30), -1, 2), () => Draws.Uniform(empty(40, 30), -1, 2));
        Compare(() => nn.init.normal_(empty(40, 30), 1, 2), () => Draws.Normal(empty(40, 30), 1, 2));
        Compare(() => rand(40, 30), () => Draws.Uniform([40, 30], CPU));
        Compare(() => rand_like(x), () => Draws.UniformLike(x));
        Compare(() => randn_like(x), () => Draws.NormalLike(x));
        Compare(() => nn.functional.dropout(x + 1, 0.3, training: true), () =>
        {
            using var dropout = new Dropout(0.3);
            return dropout.forward(x + 1);
        });

        static void Compare(Func<Tensor> ofTorch, Func<Tensor> ours)
        {
            Tensor expected;
            using (new SeedScope(7, CPU))
                expected = ofTorch();
            using (new SeedScope(7, CPU))
                TensorAssert.AreClose(expected, ours(), 0);
        }
    }

    private static byte[] State()
    {
        using var generator = Generator.Default;
        using var state = generator.get_state();
        return state.data<byte>().ToArray();
    }

    private static void OnNewThread(Action action) => OnNewThread(() =>
    {
        action();
        return 0;
    });

    private static int OnNewThread(Func<int> function)
    {
        var (result, failure) = (0, (Exception?)null);
        var thread = new Thread(() =>
        {
            try
            {
                result = function();
            }
#pragma warning disable CA1031 // Whatever it is, the test's thread throws it.
            catch (Exception exception)
#pragma warning restore CA1031
            {
                failure = exception;
            }
        });
        thread.Start();
        thread.Join();
        return failure is null ? result : throw new InvalidOperationException(failure.Message, failure);
    }

    private static float[] Numbers()
    {
        using var numbers = randn(5);
        return numbers.data<float>().ToArray();
    }
}
