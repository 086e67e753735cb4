// AdamW for tables of which an update touches a few rows. AdamW: arXiv 1711.05101; one second moment a row: as the row factor of Adafactor,
// arXiv 1804.04235, section 3.
//
//   for every row with a gradient g:        m <- β1 m + (1 - β1) g        v <- β2 v + (1 - β2) g²
//                                           w <- (1 - η λ) w - η (m / (1 - β1^t)) / (√(v / (1 - β2^t)) + ε)        t by the row's clock
//
// Axes: N = rows of a table, D = width, P = pairs (token, expert), R = distinct rows, C = rows of a chunk.

using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Tables;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// AdamW for tables, straight from their row-sparse gradient: rows without a gradient are neither read nor written. Where every update
/// touches every row it is AdamW. Owns its moments, which take up to twice the memory of tables in float32: dispose it.
/// </summary>
/// <remarks>
/// What a training's options mean here. Learning rate: the schedule's times <see cref="ExpertTableOptions.LearningRateScale"/>, or the
/// constant <see cref="ExpertTableOptions.LearningRate"/>. Weight decay: the table's own, only on rows that are touched. Clipping: the
/// rows' gradients count in the global norm, pairs of the same row as their sum, and are scaled with all others. Accumulation: factors of
/// the gradient add up over the batches of an update. Moving averages of the weights leave tables out. Checkpoints: <see cref="State"/>, as
/// large as the moments. On the CPU nothing depends on the number of threads; on accelerators the device waits for the number of distinct
/// rows, and sums of rows that several tokens share are added in no fixed order.
/// </remarks>
internal sealed class RowSparseAdamW : IOptimizer
{
    private const string Pending = "gradient";
    private const long ChunkNumbers = 1 << 24;

    private readonly IRowSparseTables tables;
    private readonly ExpertTableOptions options;
    private readonly double beta1;
    private readonly double beta2;
    private readonly double epsilon;
    private readonly BiasCorrections powers1;
    private readonly BiasCorrections powers2;
    private readonly Slot[] slots;
    private readonly Tensor clock_N;
    private readonly Tensor updates;

    /// <summary>Makes an optimizer with zero moments.</summary>
    /// <param name="tables">What is trained.</param>
    /// <param name="beta1">Decay β1 of the first moment, 0 to below 1.</param>
    /// <param name="beta2">Decay β2 of the second moment, 0 to below 1.</param>
    /// <param name="epsilon">ε, added to the root of the second moment.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="InvalidOperationException">The moments do not fit into the memory that is available.</exception>
    public RowSparseAdamW(IRowSparseTables tables, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8)
    {
        OptionChecks.AtLeastAndBelow(0, 1, beta1, nameof(beta1));
        OptionChecks.AtLeastAndBelow(0, 1, beta2, nameof(beta2));
        OptionChecks.AtLeast(0, epsilon, nameof(epsilon));
        var device = tables.Tables[0].Value.device;
        var bytes = tables.Options.OptimizerBytes(tables.Rows, tables.Width, tables.Tables.Count);
        AvailableMemory.Require(
            bytes,
            $"The optimizer of {tables.Tables.Count} table{(tables.Tables.Count == 1 ? "" : "s")} of {tables.Rows:N0} experts of width "
                + $"{tables.Width}",
            device);
        (this.tables, options) = (tables, tables.Options);
        (this.beta1, this.beta2, this.epsilon) = (beta1, beta2, epsilon);
        (powers1, powers2) = (new BiasCorrections(beta1), new BiasCorrections(beta2));
        slots = [.. tables.Tables.Select(table => new Slot(table.Key, table.Value, options.SecondMoment))];
        clock_N = zeros([tables.Rows], int32, device).DetachFromDisposeScope();
        updates = zeros([], int64).DetachFromDisposeScope();
    }

    /// <summary>The tables.</summary>
    public IEnumerable<Parameter> Parameters => slots.Select(slot => slot.Table);

    /// <summary>
    /// What a checkpoint keeps: for each table its moments, <c>TABLE.first_moment</c> (N, D) and <c>TABLE.second_moment</c> (N, D), or (N)
    /// where there is one for a row; <c>clock</c>, int32 (N), the number of updates that each row has had, or by
    /// <see cref="RowClock.AllUpdates"/> the number of its last; <c>updates</c>, all updates so far; and the factors of a gradient that no
    /// update has used yet, <c>gradient.*</c>.
    /// </summary>
    public IReadOnlyDictionary<string, Tensor> State
    {
        get
        {
            var state = FixedState();
            if (tables.Gradient is not { } gradient)
                return state;
            for (var pass = 0; pass < gradient.Passes.Count; pass++)
            {
                var (ids_TM, factors) = gradient.Passes[pass];
                state.Add($"{Pending}.{pass}.experts", ids_TM);
                for (var i = 0; i < slots.Length; i++)
                {
                    state.Add($"{Pending}.{pass}.{slots[i].Name}.multiples", factors[i].Multiples_TM);
                    state.Add($"{Pending}.{pass}.{slots[i].Name}.vectors", factors[i].Vectors_TD);
                }
            }

            return state;
        }
    }

    /// <inheritdoc/>
    public void Restore(IReadOnlyDictionary<string, Tensor> state)
    {
        ArgumentNullException.ThrowIfNull(state);
        var passes = ReadPasses(state.Where(pair => pair.Key.StartsWith(Pending + ".", StringComparison.Ordinal)).ToDictionary());
        NamedTensors.Copy(FixedState(), state.Where(pair => !pair.Key.StartsWith(Pending + ".", StringComparison.Ordinal)).ToDictionary());
        using var scope = NewDisposeScope();
        tables.ClearGradient();
        foreach (var (ids_TM, factors) in passes)
        {
            var device = clock_N.device;   // copies: the caller may dispose of its tensors
            tables.AddGradient(
                ids_TM.to(device, copy: true),
                [
                    .. factors.Select(factor => new RowFactors(
                        factor.Multiples_TM.to(device, copy: true), factor.Vectors_TD.to(device, copy: true))),
                ]);
        }
    }

    /// <inheritdoc/>
    public Tensor GradientNorm()
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        if (tables.Gradient is not { Pairs: > 0 } gradient)
            return zeros([], float32).MoveToOuterDisposeScope();
        return (
            clock_N.device_type == DeviceType.CPU ? tensor((float)Math.Sqrt(gradient.SumOfSquares())) : NormByTorch(gradient)
        ).MoveToOuterDisposeScope();
    }

    /// <summary>Updates the rows that have a gradient, and drops the gradient.</summary>
    /// <inheritdoc cref="IOptimizer.Step"/>
    public void Step(double learningRate, Tensor? gradientDivisor = null, Tensor? skip = null)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        if (tables.Gradient is { Pairs: > 0 } gradient && !(skip?.ReadSingle() > 0))
        {
            var rate = options.LearningRate ?? (learningRate * options.LearningRateScale);
            updates.PlusInPlace(1);
            if (clock_N.device_type == DeviceType.CPU)
                StepManaged(gradient, rate, gradientDivisor);
            else
                StepByTorch(gradient, rate, gradientDivisor);
        }

        tables.ClearGradient();
    }

    /// <inheritdoc/>
    public void ZeroGrad() => tables.ClearGradient();

    /// <summary>Releases the moments; the tables stay.</summary>
    public void Dispose()
    {
        foreach (var slot in slots)
            slot.Dispose();
        clock_N.Dispose();
        updates.Dispose();
    }

    /// <summary>The update through libtorch's operators, for accelerators; also what the kernel is compared with.</summary>
    internal void StepByTorch(RowSparseGradient gradient, double rate, Tensor? gradientDivisor)
    {
        var update = updates.ReadInt64();
        foreach (var (rows_C, gradients) in ChunksByTorch(gradient))
        {
            using var scope = NewDisposeScope();
            var own_C = clock_N.index_select(0, rows_C).to_type(float64);
            var countsAll = options.Clock == RowClock.AllUpdates;
            var t_C1 = (countsAll ? FilledLike(own_C, update) : own_C.Plus(1)).unsqueeze(1);
            var skipped_C1 = countsAll ? own_C.unsqueeze(1).SubtractedFrom(update - 1) : zeros_like(t_C1);
            clock_N.index_copy_(0, rows_C, t_C1.squeeze(1).to_type(int32));
            foreach (var (slot, undivided_CD) in slots.Zip(gradients))
            {
                var g_CD = gradientDivisor is null ? undivided_CD : undivided_CD / gradientDivisor;
                var m_CD = slot.FirstMoment.index_select(0, rows_C) * Power(beta1, skipped_C1);
                m_CD = m_CD.Plus((g_CD - m_CD).Times(1 - beta1));
                var square = options.SecondMoment == SecondMoment.PerRow ? g_CD.Squared().mean([1]) : g_CD.Squared();
                var decay = (square.dim() == 1 ? Power(beta2, skipped_C1).squeeze(1) : Power(beta2, skipped_C1)).Times(beta2);
                var v = (slot.SecondMoment.index_select(0, rows_C) * decay).Plus(square.Times(1 - beta2));
                slot.FirstMoment.index_copy_(0, rows_C, m_CD);
                slot.SecondMoment.index_copy_(0, rows_C, v);
                var v_CD = v.dim() == 1 ? v.unsqueeze(1) : v;
                var w_CD = slot.Table.index_select(0, rows_C).to_type(float32).Times(1 - (rate * options.WeightDecay));
                w_CD = w_CD - ((m_CD / Correction(beta1, t_C1)).Times(rate) / (v_CD / Correction(beta2, t_C1)).sqrt().Plus(epsilon));
                slot.Table.index_copy_(0, rows_C, options.Precision == TablePrecision.BFloat16 ? RoundAtRandom(w_CD) : w_CD);
            }
        }
    }

    private unsafe void StepManaged(RowSparseGradient gradient, double rate, Tensor? gradientDivisor)
    {
        var scale = gradientDivisor is null ? 1 : 1 / gradientDivisor.ReadSingle();
        var update = checked((int)updates.ReadInt64());
        gradient.OnPairsByRow(
            (team, order, gradients) =>
            {
                var rows = slots
                    .Select(
                        (slot, i) =>
                            new RowAdamWTable(
                                (byte*)Memory.Address(slot.Table),
                                Memory.Floats(slot.FirstMoment),
                                Memory.Floats(slot.SecondMoment),
                                gradients[i]))
                    .ToArray();
                var (countsAll, perRow, clock) = (
                    options.Clock == RowClock.AllUpdates, options.SecondMoment == SecondMoment.PerRow, (nint)Memory.Address(clock_N));
                if (options.Precision == TablePrecision.BFloat16)
                    new RowAdamW<BFloat16Rows>(rows, order, tables.Width, (int*)clock, update, countsAll, perRow).Run(
                        team, rate, options.WeightDecay, epsilon, (beta1, powers1), (beta2, powers2), scale);
                else
                    new RowAdamW<Float32Rows>(rows, order, tables.Width, (int*)clock, update, countsAll, perRow).Run(
                        team, rate, options.WeightDecay, epsilon, (beta1, powers1), (beta2, powers2), scale);
            }
        );
    }

    private Tensor NormByTorch(RowSparseGradient gradient)
    {
        var sum = zeros([], float64, clock_N.device);
        foreach (var (_, gradients) in ChunksByTorch(gradient))
        {
            foreach (var gradient_CD in gradients)
                sum.PlusInPlace(gradient_CD.Squared().sum().to_type(float64));
        }

        return sum.sqrt().to_type(float32);
    }

    // The distinct rows, some at a time, and for every table their gradients (C, D).
    private IEnumerable<(Tensor Rows_C, Tensor[] Gradients)> ChunksByTorch(RowSparseGradient gradient)
    {
        var (ids_TM, factors) = gradient.Consolidate();
        var choices = ids_TM.shape[1];
        var (sorted_P, pairs_P) = ids_TM.flatten().sort(dim: 0, descending: false, stable: true);
        var (rows_R, inverse_P, counts_R) = sorted_P.unique_consecutive(return_inverse: true, return_counts: true);
        var ends = counts_R!.cumsum(0).cpu().data<long>().ToArray();
        var tokens_P = pairs_P.FloorDividedBy(choices);
        var size = Math.Max(1, ChunkNumbers / tables.Width);
        for (var first = 0L; first < ends.Length; first += size)
        {
            using var scope = NewDisposeScope();
            var count = Math.Min(size, ends.Length - first);
            var start = first == 0 ? 0 : ends[first - 1];
            var length = ends[first + count - 1] - start;
            var rows_C = rows_R.narrow(0, first, count);
            var places = inverse_P!.narrow(0, start, length).Minus(first);
            var gradients = factors
                .Select(factor =>
                    zeros([count, tables.Width], float32, rows_C.device)
                        .IndexAddInPlace(
                            0, places, factor.Multiples_TM.flatten().index_select(0, pairs_P.narrow(0, start, length)).unsqueeze(1)
                                * factor.Vectors_TD.index_select(0, tokens_P.narrow(0, start, length))))
                .ToArray();
            yield return (rows_C, gradients);
        }
    }

    private static Tensor Power(double beta, Tensor exponents) =>
        Filled([], beta, exponents.dtype, exponents.device).pow(exponents).to_type(float32);

    private static Tensor Correction(double beta, Tensor exponents) =>
        Filled([], beta, exponents.dtype, exponents.device).pow(exponents).SubtractedFrom(1).to_type(float32);

    // Uniform noise of one unit of the narrower format, and rounding to the nearest: up as often as the part cut off is large.
    private static Tensor RoundAtRandom(Tensor values)
    {
        const int FractionBits = 7;   // of bfloat16
        var unit = pow(tensor(2f, device: values.device), values.abs().Clamp(min: 1e-30).log2().floor().Minus(FractionBits));
        return values.Plus(unit * Draws.UniformLike(values).Minus(0.5)).to_type(bfloat16);
    }

    private Dictionary<string, Tensor> FixedState() =>
        slots.SelectMany(slot => slot.State).Append(new("clock", clock_N)).Append(new("updates", updates)).ToDictionary();

    private List<(Tensor Ids_TM, RowFactors[] Factors)> ReadPasses(Dictionary<string, Tensor> state)
    {
        var passes = new List<(Tensor, RowFactors[])>();
        for (var pass = 0; state.Remove($"{Pending}.{pass}.experts", out var ids_TM); pass++)
        {
            var prefix = $"{Pending}.{pass}";
            if (ids_TM.dim() != 2 || ids_TM.dtype != int64)
                throw new InvalidDataException(
                    $"Tensor '{prefix}.experts' is {ids_TM.dtype} ({string.Join(", ", ids_TM.shape)}) in the saved state; Int64 (T, M) is "
                        + "wanted.");
            if (ids_TM.numel() > 0 && (ids_TM.min().ReadInt64() < 0 || ids_TM.max().ReadInt64() >= tables.Rows))
                throw new InvalidDataException($"Tensor '{prefix}.experts' has experts that are not among the {tables.Rows} here.");
            passes.Add(
                (
                    ids_TM,
                    [
                        .. slots.Select(slot => new RowFactors(
                            Take($"{prefix}.{slot.Name}.multiples", ids_TM.shape),
                            Take($"{prefix}.{slot.Name}.vectors", [ids_TM.shape[0], tables.Width]))),
                    ]));
        }

        if (state.Keys.FirstOrDefault() is { } unknown)
            throw new InvalidDataException($"Tensor '{unknown}' is in the saved state, and nothing here has that name.");
        return passes;

        Tensor Take(string name, long[] shape)
        {
            if (!state.Remove(name, out var value))
                throw new InvalidDataException($"Tensor '{name}' is not in the saved state.");
            return value.dtype == float32 && value.shape.SequenceEqual(shape)
                ? value
                : throw new InvalidDataException(
                    $"Tensor '{name}' is {value.dtype} ({string.Join(", ", value.shape)}) in the saved state; Float32 "
                        + $"({string.Join(", ", shape)}) is wanted.");
        }
    }

    private sealed class Slot : IDisposable
    {
        public Slot(string name, Parameter table, SecondMoment secondMoment)
        {
            using var _ = no_grad();
            (Name, Table) = (name, table);
            FirstMoment = zeros(table.shape, float32, table.device).DetachFromDisposeScope();
            SecondMoment = zeros(secondMoment == Optimizers.SecondMoment.PerRow ? [table.shape[0]] : table.shape, float32, table.device)
                .DetachFromDisposeScope();
        }

        public string Name { get; }

        public Parameter Table { get; }

        public Tensor FirstMoment { get; }

        public Tensor SecondMoment { get; }

        public IEnumerable<KeyValuePair<string, Tensor>> State =>
            [new($"{Name}.first_moment", FirstMoment), new($"{Name}.second_moment", SecondMoment)];

        public void Dispose()
        {
            FirstMoment.Dispose();
            SecondMoment.Dispose();
        }
    }
}
