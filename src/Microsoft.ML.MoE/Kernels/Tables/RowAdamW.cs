// AdamW on the rows that have a gradient: each row's gradient is made, used for the moments and the weights, and forgotten, in one pass
// over the rows in ascending order.
//
// Axes: D = width, N = rows of a table, R = distinct rows with a gradient.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>
/// One update of some tables by their rows' gradients. Every row is worked on by one thread, so the result does not depend on their number.
/// </summary>
/// <typeparam name="TRow">How the tables are stored.</typeparam>
/// <param name="tables">The tables; all have a gradient for the same rows.</param>
/// <param name="order">The rows and their pairs.</param>
/// <param name="width">D.</param>
/// <param name="clock">For every row how many updates it has had, or with <paramref name="countsAll"/> the number of the last (N).</param>
/// <param name="update">The number of this update, from 1.</param>
/// <param name="countsAll">Whether updates that do not touch a row count for it.</param>
/// <param name="secondPerRow">Whether a row has one second moment.</param>
internal sealed unsafe class RowAdamW<TRow>(
    RowAdamWTable[] tables, RowOrder order, int width, int* clock, int update, bool countsAll, bool secondPerRow)
    where TRow : struct, IRowFormat
{
    private const int RowsPerTask = 256;
    private const int FetchAhead = 2;   // rows; six kilobytes each at a width of 256 and two tables

    /// <summary>Makes the update.</summary>
    /// <param name="team">Who works.</param>
    /// <param name="learningRate">η.</param>
    /// <param name="weightDecay">λ.</param>
    /// <param name="epsilon">ε.</param>
    /// <param name="beta1">β₁ and its powers.</param>
    /// <param name="beta2">β₂ and its powers.</param>
    /// <param name="gradientScale">What gradients are multiplied with first.</param>
    public void Run(
        WorkTeam team,
        double learningRate,
        double weightDecay,
        double epsilon,
        (double Beta, BiasCorrections Powers) beta1,
        (double Beta, BiasCorrections Powers) beta2,
        float gradientScale)
    {
        beta1.Powers.Reach(update);
        beta2.Powers.Reach(update);
        var constants = new Constants(
            (float)(1 - beta1.Beta), (float)beta2.Beta, (float)(1 - beta2.Beta), (float)(1 - (learningRate * weightDecay)), (float)epsilon);
        team.ForEach((order.Count + RowsPerTask - 1) / RowsPerTask, (task, scratch) =>
        {
            var end = Math.Min((task + 1) * RowsPerTask, order.Count);
            for (var i = task * RowsPerTask; i < end; i++)
            {
                if (i + FetchAhead < end)
                    Fetch(order.Rows[i + FetchAhead]);
                var row = order.Rows[i];
                var (updates, decay1, decay2) = (clock[row] + 1, 1f, 1f);
                if (countsAll)
                {
                    var skipped = update - updates;
                    (updates, decay1, decay2) = (update, beta1.Powers.Power(skipped), beta2.Powers.Power(skipped));
                }

                clock[row] = updates;
                var rates = new Rates(
                    (float)learningRate / beta1.Powers.Correction(updates),
                    1 / MathF.Sqrt(beta2.Powers.Correction(updates)),
                    decay1,
                    decay2);
                var start = order.Start(i);
                for (var table = 0; table < tables.Length; table++)
                {
                    var vector = tables[table].Gradient.OfRow(order.Pairs + start, order.Ends[i] - start, scratch, out var multiple);
                    Update(tables[table], row, vector, multiple * gradientScale, constants, rates, Noise.Start(update, row, table));
                }
            }
        });
    }

    private void Fetch(int row)
    {
        var floats = (nint)width * sizeof(float);
        foreach (ref readonly var table in tables.AsSpan())
        {
            RowGather<TRow>.Fetch(table.Weights + ((nint)row * width * TRow.Bytes), (nint)width * TRow.Bytes);
            RowGather<TRow>.Fetch((byte*)(table.First + ((nint)row * width)), floats);
            if (!secondPerRow)
                RowGather<TRow>.Fetch((byte*)(table.Second + ((nint)row * width)), floats);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Update(in RowAdamWTable table, int row, float* vector, float multiple, in Constants constants, in Rates rates, uint noise)
    {
        var weights = table.Weights + ((nint)row * width * TRow.Bytes);
        var first = table.First + ((nint)row * width);
        var second = table.Second + (secondPerRow ? row : (nint)row * width);
        var denominator = 0f;
        if (secondPerRow)
        {
            *second =
                (*second * rates.Decay2 * constants.Beta2)
                + (constants.NewSecond * multiple * multiple * RowNorm.SumOfSquares(vector, width) / width);
            denominator = (MathF.Sqrt(*second) * rates.RootCorrection) + constants.Epsilon;
        }

        var (vMultiple, vNewFirst, vBeta2, vNewSecond) = (
            Vector512.Create(multiple),
            Vector512.Create(constants.NewFirst),
            Vector512.Create(constants.Beta2 * rates.Decay2),
            Vector512.Create(constants.NewSecond));
        var (vShrink, vEpsilon, vStep, vRoot) = (
            Vector512.Create(constants.Shrink),
            Vector512.Create(constants.Epsilon),
            Vector512.Create(rates.Step),
            Vector512.Create(rates.RootCorrection));
        var (vDecay1, vDenominator) = (Vector512.Create(rates.Decay1), Vector512.Create(denominator));
        var i = 0;
        for (; i + Vector512<float>.Count <= width; i += Vector512<float>.Count)
        {
            var g = Vector512.Load(vector + i) * vMultiple;
            var m = Vector512.Load(first + i) * vDecay1;
            m = Vector512.FusedMultiplyAdd(g - m, vNewFirst, m);
            m.Store(first + i);
            var divisor = vDenominator;
            if (!secondPerRow)
            {
                var v = Vector512.FusedMultiplyAdd(Vector512.Load(second + i), vBeta2, g * g * vNewSecond);
                v.Store(second + i);
                divisor = Vector512.FusedMultiplyAdd(Vector512.Sqrt(v), vRoot, vEpsilon);
            }

            var w = (TRow.Load(weights, i) * vShrink) - (vStep * m / divisor);
            TRow.Store(weights, i, w, Noise.At(noise, i));
        }

        for (; i < width; i++)
        {
            var g = vector[i] * multiple;
            var m = first[i] * rates.Decay1;
            m += (g - m) * constants.NewFirst;
            first[i] = m;
            if (!secondPerRow)
            {
                second[i] = (second[i] * constants.Beta2 * rates.Decay2) + (g * g * constants.NewSecond);
                denominator = (MathF.Sqrt(second[i]) * rates.RootCorrection) + constants.Epsilon;
            }

            TRow.StoreOne(
                weights, i, (TRow.LoadOne(weights, i) * constants.Shrink) - (rates.Step * m / denominator), Noise.At(noise, i)[0]);
        }
    }

    private readonly record struct Constants(float NewFirst, float Beta2, float NewSecond, float Shrink, float Epsilon);

    private readonly record struct Rates(float Step, float RootCorrection, float Decay1, float Decay2);
}
