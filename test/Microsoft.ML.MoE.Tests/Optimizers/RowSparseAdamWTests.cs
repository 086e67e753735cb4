using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Kernels.Tables;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Tests.Training;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Optimizers;

[TestClass]
public sealed class RowSparseAdamWTests
{
    private const double Rate = 0.01;
    private const int Width = 21;   // no multiple of a vector

    public static IEnumerable<object[]> Options =>
        from clock in Enum.GetValues<RowClock>()
        from second in Enum.GetValues<SecondMoment>()
        from decay in new[] { 0, 0.3 }
        from byTorch in new[] { false, true }
        select new object[]
        {
            new ExpertTableOptions
            {
                Clock = clock,
                SecondMoment = second,
                WeightDecay = decay,
            },
            byTorch,
        };

    [TestMethod]
    [DataRow(RowClock.OwnUpdates, 0.0)]
    [DataRow(RowClock.OwnUpdates, 0.3)]
    [DataRow(RowClock.AllUpdates, 0.0)]
    [DataRow(RowClock.AllUpdates, 0.3)]
    public void WhereEveryUpdateTouchesEveryRowItIsAdamW(RowClock clock, double decay)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        using var tables = Tables(5, new() { Clock = clock, WeightDecay = decay });
        using var optimizer = new RowSparseAdamW(tables);
        var dense = tables.Tables.ToDictionary(table => table.Key, table => new Parameter(table.Value.detach().clone()));
        using var reference = new FusedAdamW([new([.. dense], decay)]);
        for (var step = 1; step <= 30; step++)
        {
            AddRandomGradient(tables, cat([arange(5, int64), randint(0, 5, [7], int64)], 0).view(4, 3));
            foreach (var (name, parameter) in dense)
                parameter.grad = tables.Gradient!.ToDense(name);
            var divisor = step % 3 == 0 ? tensor(2.5f) : null;
            optimizer.Step(Rate / step, divisor);
            reference.Step(Rate / step, divisor);
        }
        foreach (var (name, table) in tables.Tables)
            TensorAssert.AreClose(dense[name], table, 1e-6, name);
    }

    [TestMethod]
    [DynamicData(nameof(Options))]
    public void EqualsTheEquationsRowByRow(ExpertTableOptions options, bool byTorch)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        using var tables = Tables(40, options);
        using var optimizer = new RowSparseAdamW(tables, 0.8, 0.95, 1e-6);
        var rows = tables
            .Tables.SelectMany(table => Enumerable.Range(0, 40).Select(row => (table.Key, Row: new Row(table.Value[row], options))))
            .ToLookup(pair => pair.Key, pair => pair.Row);
        for (var step = 1; step <= 25; step++)
        {
            AddRandomGradient(tables, randint(0, step % 2 == 0 ? 40 : 5, [4, 3], int64));   // some rows often, some seldom
            var touched = tables.Gradient!.Rows().data<long>().ToArray();
            foreach (var (name, _) in tables.Tables)
            {
                var gradient_ND = tables.Gradient.ToDense(name);
                foreach (var row in touched)
                    rows[name].ElementAt((int)row).Step(gradient_ND[row] / 2, step, Rate);
            }
            Step(optimizer, tables, tensor(2f), byTorch);
        }
        foreach (var (name, table) in tables.Tables)
            TensorAssert.AreClose(stack(rows[name].Select(row => row.Weight)), table, 1e-5, name);
    }

    [TestMethod]
    public void RowsThatAreNotTouchedAreNotChanged()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var tables = Tables(10, new() { WeightDecay = 0.5 });
        using var optimizer = new RowSparseAdamW(tables);
        AddRandomGradient(tables, randint(0, 10, [10, 3], int64));
        optimizer.Step(Rate);
        var before = Copy(optimizer.State, tables);
        AddRandomGradient(tables, tensor(new[] { 2L, 7, 2 }, [1, 3]));
        optimizer.Step(Rate);
        Assert.IsNull(tables.Gradient, "used up");
        foreach (var (name, old) in before.Where(pair => pair.Key != "updates"))
        {
            var current = Copy(optimizer.State, tables)[name];
            for (var row = 0; row < 10; row++)
                Assert.AreEqual(row is not (2 or 7), old[row].equal(current[row]).all().ToBoolean(), $"{name}, row {row}");
        }
    }

    [TestMethod]
    [DataRow(TablePrecision.Float32)]
    [DataRow(TablePrecision.BFloat16)]
    public void NothingDependsOnTheNumberOfThreads(TablePrecision precision)
    {
        var results = new List<Dictionary<string, Tensor>>();
        using var scope = NewDisposeScope();
        foreach (var threads in new[] { 1, 2, 5 })
        {
            using var limit = new ThreadScope(threads);
            using var seed = new SeedScope(4, CPU);
            using var tables = Tables(500, new() { Precision = precision });
            using var optimizer = new RowSparseAdamW(tables);
            for (var step = 0; step < 3; step++)
            {
                AddRandomGradient(tables, randint(0, 500, [120, 3], int64));
                optimizer.Step(Rate, optimizer.GradientNorm());
            }
            results.Add(Copy(optimizer.State, tables));
        }
        foreach (var other in results.Skip(1))
        {
            foreach (var (name, value) in other)
                Assert.IsTrue(results[0][name].equal(value).all().ToBoolean(), name);
        }
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void UpdatesTooSmallForBFloat16AreKeptOnAverage(bool byTorch)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(5, CPU);
        using var tables = Tables(400, new() { Precision = TablePrecision.BFloat16 });
        foreach (var (_, table) in tables.Tables)
            table.fill_(1);
        using var optimizer = new RowSparseAdamW(tables);
        var ones_TM = ones(100, 4);
        for (var step = 0; step < 20; step++)
        {
            tables.AddGradient(arange(400, int64).view(100, 4), [.. tables.Tables.Select(_ => new RowFactors(ones_TM, ones(100, Width)))]);
            Step(optimizer, tables, null, byTorch, rate: 1e-4);
        }

        // Twenty steps of 1e-4, of which one alone is a fortieth of the distance between numbers below 1 and would always be rounded away.
        foreach (var (name, table) in tables.Tables)
        {
            Assert.AreEqual(1 - (20 * 1e-4), table.to_type(float64).mean().ToDouble(), 2e-4, name);
            Assert.IsGreaterThan(1, table.to_type(float64).unique().output.numel());
        }
    }

    [TestMethod]
    public void PairsOfARowCountInTheNormAsTheirSum()
    {
        using var scope = NewDisposeScope();
        using var tables = new ExpertTables(ExpertKind.Value, 10, 2, NeuronActivation.Gelu, new());
        using var optimizer = new RowSparseAdamW(tables);
        Assert.AreEqual(0, optimizer.GradientNorm().ToSingle());

        // Row 3 gets 2·(3, 0) - 1·(0, 4) = (6, -4), row 5 gets 0.5·(3, 0) = (1.5, 0), row 9 gets 3·(0, 4) = (0, 12).
        tables.AddGradient(
            tensor(new[] { 3L, 5, 9, 3 }, [2, 2]), [new(tensor(new[] { 2f, 0.5f, 3, -1 }, [2, 2]), tensor(new[] { 3f, 0, 0, 4 }, [2, 2]))]);
        Assert.AreEqual(Math.Sqrt(36 + 16 + 2.25 + 144), optimizer.GradientNorm().ToSingle(), 1e-5);
        TensorAssert.AreClose(tensor(new[] { 6f, -4 }), tables.Gradient!.ToDense("values")[3], 1e-6);

        // Another backward pass adds (-6, 4) to row 3.
        tables.AddGradient(tensor(new[] { 3L, 5 }, [1, 2]), [new(tensor(new[] { 1f, 0 }, [1, 2]), tensor(new[] { -6f, 4 }, [1, 2]))]);
        Assert.AreEqual(Math.Sqrt(2.25 + 144), optimizer.GradientNorm().ToSingle(), 1e-5);
        Assert.AreEqual(6, tables.Gradient.Pairs);
        optimizer.ZeroGrad();
        Assert.AreEqual(0, optimizer.GradientNorm().ToSingle());
    }

    [TestMethod]
    public void ASkippedStepChangesNothing()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(6, CPU);
        using var tables = Tables(10, new());
        using var optimizer = new RowSparseAdamW(tables);
        AddRandomGradient(tables, randint(0, 10, [4, 3], int64));
        var before = Copy(optimizer.State.Where(pair => !pair.Key.StartsWith("gradient", StringComparison.Ordinal)), tables);
        optimizer.Step(Rate, tensor(float.NaN), tensor(1f));
        foreach (var (name, value) in Copy(optimizer.State, tables))
            Assert.IsTrue(before[name].equal(value).all().ToBoolean(), name);
    }

    [TestMethod]
    public void TheTablesRateIsTheSchedulesScaledOrTheirOwn()
    {
        using var scope = NewDisposeScope();
        Assert.AreEqual(0.02f, Moved(new() { LearningRateScale = 2 }), 1e-6f);
        Assert.AreEqual(0.5f, Moved(new() { LearningRateScale = 2, LearningRate = 0.5 }), 1e-6f);
        Assert.AreEqual(0, Moved(new() { LearningRate = 0 }));

        // The first step of Adam moves by the rate.
        static float Moved(ExpertTableOptions options)
        {
            using var tables = new ExpertTables(ExpertKind.Value, 3, 2, NeuronActivation.Gelu, options);
            tables.Tables[0].Value.zero_();
            using var optimizer = tables.CreateOptimizer(OptimizerKind.AdamW, new());
            tables.AddGradient(ones([1, 1], int64), [new(ones(1, 1), ones(1, 2))]);
            optimizer.Step(Rate);
            return -tables.Tables[0].Value[1, 0].ToSingle();
        }
    }

    [TestMethod]
    [DataRow(OptimizerKind.Sgd)]
    [DataRow(OptimizerKind.Lamb)]
    public void BesideAnotherOptimizerTheTablesNeedARateOfTheirOwn(OptimizerKind optimizer)
    {
        var error = Assert.ThrowsExactly<ArgumentException>(() => Step(new()));
        Assert.Contains($"Optimizer is {optimizer}, but tables of experts are always trained by AdamW", error.Message);
        Assert.Contains("LearningRate", error.Message);

        Assert.AreEqual(-1e-3f, Step(new() { LearningRate = 1e-3 }), 1e-8f, "AdamW's first step is its rate");
        Assert.AreEqual(-5e-4f, Step(new() { LearningRateScale = 1e-3 }), 1e-8f, "a thousandth of the training's");

        float Step(ExpertTableOptions options)
        {
            using var scope = NewDisposeScope();
            using var tables = new ExpertTables(ExpertKind.Value, 3, 2, NeuronActivation.Gelu, options);
            tables.Tables[0].Value.zero_();
            using var all = TrainingOptimizer.Create(tables, new TrainingOptions { Optimizer = optimizer }.Settled(), _ => 1);
            tables.AddGradient(ones([1, 1], int64), [new(ones(1, 1), ones(1, 2))]);
            all.Step(0.5);
            return tables.Tables[0].Value[1, 0].item<float>();
        }
    }

    [TestMethod]
    public void ARestoredStateGoesOnAsIfNothingHadHappened()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(7, CPU);
        using var running = Tables(30, new() { Clock = RowClock.AllUpdates });
        using var optimizer = new RowSparseAdamW(running);
        AddRandomGradient(running, randint(0, 30, [6, 3], int64));
        optimizer.Step(Rate);
        AddRandomGradient(running, randint(0, 30, [6, 3], int64));   // not used yet
        AddRandomGradient(running, randint(0, 30, [2, 3], int64));

        using var resumed = Tables(30, new() { Clock = RowClock.AllUpdates });
        using var other = new RowSparseAdamW(resumed);
        AddRandomGradient(resumed, randint(0, 30, [6, 3], int64));   // to be forgotten
        other.Restore(optimizer.State);
        foreach (var (from, to) in running.Tables.Zip(resumed.Tables))
            to.Value.copy_(from.Value);
        Assert.AreEqual(24, resumed.Gradient!.Pairs);
        Assert.AreEqual(optimizer.GradientNorm().ToSingle(), other.GradientNorm().ToSingle());
        optimizer.Step(Rate);
        other.Step(Rate);

        CollectionAssert.AreEquivalent(
            new[] { "down.first_moment", "down.second_moment", "up.first_moment", "up.second_moment", "clock", "updates" },
            optimizer.State.Keys.ToArray());
        var expected = Copy(optimizer.State, running);
        foreach (var (name, value) in Copy(other.State, resumed))
            Assert.IsTrue(expected[name].equal(value).all().ToBoolean(), name);
    }

    [TestMethod]
    public void AStateThatDoesNotFitIsRefusedAndChangesNothing()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(8, CPU);
        using var tables = Tables(10, new());
        using var optimizer = new RowSparseAdamW(tables);
        AddRandomGradient(tables, randint(0, 10, [4, 3], int64));
        var state = optimizer.State.ToDictionary();
        var before = Copy(state, tables);
        Refused("'clock' is not in the saved state", state.Where(pair => pair.Key != "clock"));
        Refused("'gradient.0.up.vectors' is not in the saved state", state.Where(pair => pair.Key != "gradient.0.up.vectors"));
        Refused("'other' is in the saved state", state.Append(new("other", zeros(1))));
        Refused("'gradient.1.up.vectors' is in the saved state", state.Append(new("gradient.1.up.vectors", zeros(1))));
        Refused("'gradient.0.experts' has experts that are not among the 10 here", Replaced("gradient.0.experts", full([4, 3], 10, int64)));
        Refused(
            "'gradient.0.down.multiples' is Float32 (4, 2) in the saved state; Float32 (4, 3) is wanted",
            Replaced("gradient.0.down.multiples", zeros(4, 2)));
        Refused("'up.second_moment' is", Replaced("up.second_moment", zeros(10)));
        foreach (var (name, value) in Copy(optimizer.State, tables))
            Assert.IsTrue(before[name].equal(value).all().ToBoolean(), name);

        IEnumerable<KeyValuePair<string, Tensor>> Replaced(string name, Tensor value) =>
            state.Select(pair => pair.Key == name ? new(name, value) : pair);
        void Refused(string message, IEnumerable<KeyValuePair<string, Tensor>> bad) =>
            Assert.Contains(message, Assert.ThrowsExactly<InvalidDataException>(() => optimizer.Restore(bad.ToDictionary())).Message);
    }

    [TestMethod]
    public void TheLoopTrainsTablesClipsThemAndAddsUpTheirBatches()
    {
        using var scope = NewDisposeScope();
        var single = Train(accumulation: 1, ema: null);
        var accumulated = Train(accumulation: 2, ema: null);
        foreach (var (name, value) in single)
            TensorAssert.AreClose(value, accumulated[name], 1e-5, name);
        var averaged = Train(accumulation: 1, ema: 0.9);
        Assert.IsTrue(single["experts.up"].equal(averaged["experts.up"]).all().ToBoolean(), "tables are not averaged");
        Assert.IsFalse(single["keys.rowKeys"].equal(averaged["keys.rowKeys"]).all().ToBoolean(), "all else is");

        static Dictionary<string, Tensor> Train(int accumulation, double? ema)
        {
            using var seed = new SeedScope(9, CPU);
            using var layer = new Peer(
                8,
                new PeerOptions
                {
                    Experts = 64,
                    Heads = 2,
                    ExpertsPerHead = 4,
                    QueryWidth = 8,
                    QueryBatchNorm = false,
                }
            );
            var (x_TD, target_TD) = (randn(12, 8), randn(12, 8));
            var options = new TrainingOptions
            {
                Epochs = 5,
                LearningRate = 0.01,
                GradientClipNorm = 0.05,
                GradientAccumulation = accumulation,
                EmaDecay = ema,
                WarmupSteps = 0,
            };
            var size = 12 / accumulation;
            var loop = new TrainingLoop<int>(
                layer,
                batch =>
                {
                    var difference_TD =
                        layer.forward(x_TD.narrow(0, batch * size, size)).Output_TD - target_TD.narrow(0, batch * size, size);
                    return new StepLoss(difference_TD.square().mean(), zeros([]), size);
                },
                options);
            var start = layer.Experts.Tables.ToDictionary(table => table.Key, table => table.Value.clone());
            loop.Run(new NumberedBatches(accumulation));
            Assert.IsNull(layer.Experts.Gradient);
            foreach (var (name, table) in layer.Experts.Tables)
                Assert.IsGreaterThan(0.01, (table - start[name]).abs().max().ToDouble(), name);
            return layer.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().clone());
        }
    }

    [TestMethod]
    public void StepsLeaveNoTensorBehind()
    {
        using var tables = Tables(50, new());
        using var optimizer = new RowSparseAdamW(tables);
        Run();
        var before = LiveTensors.Count();
        for (var i = 0; i < 100; i++)
            Run();
        Assert.AreEqual(before, Tensor.TotalCount);

        void Run()
        {
            using var scope = NewDisposeScope();
            AddRandomGradient(tables, randint(0, 50, [6, 3], int64));
            AddRandomGradient(tables, randint(0, 50, [6, 3], int64));
            optimizer.Step(Rate, optimizer.GradientNorm());
        }
    }

    private static ExpertTables Tables(int experts, ExpertTableOptions options) =>
        new(ExpertKind.Neuron, experts, Width, NeuronActivation.Gelu, options);

    private static void AddRandomGradient(ExpertTables tables, Tensor ids_TM) =>
        tables.AddGradient(ids_TM, [.. tables.Tables.Select(_ => new RowFactors(randn(ids_TM.shape), randn(ids_TM.shape[0], Width)))]);

    private static void Step(RowSparseAdamW optimizer, ExpertTables tables, Tensor? divisor, bool byTorch, double rate = Rate)
    {
        if (!byTorch)
        {
            optimizer.Step(rate, divisor);
            return;
        }
        optimizer.State["updates"].add_(1);
        optimizer.StepByTorch(tables.Gradient!, rate, divisor);
        tables.ClearGradient();
    }

    private static Dictionary<string, Tensor> Copy(IEnumerable<KeyValuePair<string, Tensor>> state, ExpertTables tables) =>
        state
            .Concat(tables.Tables.Select(table => KeyValuePair.Create(table.Key, (Tensor)table.Value)))
            .ToDictionary(pair => pair.Key, pair => pair.Value.clone());

    /// <summary>AdamW of one row in float64, by its clock.</summary>
    private sealed class Row(Tensor start, ExpertTableOptions options)
    {
        private Tensor m = zeros(start.shape, float64);
        private Tensor v = options.SecondMoment == SecondMoment.PerRow ? zeros([1], float64) : zeros(start.shape, float64);
        private int clock;

        public Tensor Weight { get; private set; } = start.detach().to_type(float64);

        public void Step(Tensor gradient, int update, double rate)
        {
            var g = gradient.to_type(float64);
            if (options.Clock == RowClock.AllUpdates)
            {
                for (; clock < update - 1; clock++)   // gradients of 0
                    (m, v) = (0.8 * m, 0.95 * v);
            }
            clock++;
            var square = options.SecondMoment == SecondMoment.PerRow ? g.square().mean([0], keepdim: true) : g.square();
            (m, v) = ((0.8 * m) + (0.2 * g), (0.95 * v) + (0.05 * square));
            var (mHat, vHat) = (m / (1 - Math.Pow(0.8, clock)), v / (1 - Math.Pow(0.95, clock)));
            Weight = (Weight * (1 - (rate * options.WeightDecay))) - (rate * mHat / (vHat.sqrt() + 1e-6));
        }
    }
}
