// The gradient of tables of which a step has touched a few rows.
//
// Axes: T = tokens of a backward pass, M = experts of a token, P = pairs (token, expert) of all backward passes, R = distinct rows, N =
// rows of a table, D = model width.

using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Tables;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// The gradient of tables, as factors: each (token, expert) pair adds a multiple of one vector of its token to one row. The rows of the
/// gradient are only made where they are used, so that its memory is that of the tokens, not of the rows. Adds up over backward passes.
/// </summary>
internal sealed class RowSparseGradient : IDisposable
{
    private readonly IRowSparseTables tables;
    private readonly List<Pass> passes = [];
    private RowOrder? order;   // of the pairs of the only pass

    internal RowSparseGradient(IRowSparseTables tables) => this.tables = tables;

    /// <summary>What is done on pairs in the order of their rows.</summary>
    /// <param name="team">Who works.</param>
    /// <param name="order">The rows and their pairs.</param>
    /// <param name="gradients">For every table its gradient.</param>
    internal delegate void OnPairs(WorkTeam team, RowOrder order, RowGradient[] gradients);

    /// <summary>The backward passes that have been added up.</summary>
    internal IReadOnlyList<Pass> Passes => passes;

    /// <summary>(Token, expert) pairs of all backward passes; several may be of one row.</summary>
    public long Pairs => passes.Sum(pass => pass.Ids_TM.numel());

    /// <summary>The rows that have a gradient, ascending, each once: int64 (R).</summary>
    public Tensor Rows()
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        return cat([.. passes.Select(pass => pass.Ids_TM.flatten())], 0)
            .sort()
            .Values.unique_consecutive()
            .output.MoveToOuterDisposeScope();
    }

    /// <summary>The gradient of a table as a tensor of the table's size: for small tables.</summary>
    /// <param name="table">Name of the table, as the module that owns them calls it.</param>
    /// <returns>Float32 (N, D).</returns>
    /// <exception cref="ArgumentException">There is no table of that name.</exception>
    public Tensor ToDense(string table)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var index = tables.Tables.ToList().FindIndex(pair => pair.Key == table);
        if (index < 0)
            throw new ArgumentException(
                $"There is no table '{table}', only {string.Join(", ", tables.Tables.Select(pair => $"'{pair.Key}'"))}.", nameof(table));
        var dense_ND = zeros([tables.Rows, tables.Width], float32, passes[0].Ids_TM.device);
        foreach (var (ids_TM, factors) in passes)
        {
            var (multiples_TM, vectors_TD) = factors[index];
            // One expert of each token at a time: no more memory than the tokens take.
            for (var choice = 0L; choice < ids_TM.shape[1]; choice++)
                dense_ND.IndexAddInPlace(0, ids_TM.select(1, choice), multiples_TM.select(1, choice).unsqueeze(1) * vectors_TD);
        }

        return dense_ND.MoveToOuterDisposeScope();
    }

    /// <summary>Frees the factors.</summary>
    public void Dispose()
    {
        foreach (var pass in passes)
            pass.Dispose();
        passes.Clear();
        order?.Dispose();
        order = null;
    }

    /// <summary>All passes as one.</summary>
    internal Pass Consolidate()
    {
        if (passes.Count == 1)
            return passes[0];
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var all = new Pass(
            cat([.. passes.Select(pass => pass.Ids_TM)], 0).DetachFromDisposeScope(),
            [
                .. passes[0]
                    .Factors.Select(
                        (_, i) =>
                            new RowFactors(
                                cat([.. passes.Select(pass => pass.Factors[i].Multiples_TM)], 0).DetachFromDisposeScope(),
                                cat([.. passes.Select(pass => pass.Factors[i].Vectors_TD)], 0).DetachFromDisposeScope())),
            ]);
        Dispose();
        passes.Add(all);
        return all;
    }

    /// <summary>The sum of squares of the gradients of all tables, on the CPU.</summary>
    internal double SumOfSquares()
    {
        var sum = 0.0;
        OnPairsByRow(
            (team, order, gradients) => sum = gradients.Sum(gradient => RowNorm.SumOfSquares(team, order, gradient, tables.Width)));
        return sum;
    }

    /// <summary>Works on the pairs in the order of their rows, on the CPU. The order is found once.</summary>
    internal unsafe void OnPairsByRow(OnPairs work)
    {
        var (ids_TM, factors) = Consolidate();
        var (pairs, choices) = (checked((int)ids_TM.numel()), (int)ids_TM.shape[1]);
        WorkTeam.Run(get_num_threads(), team =>
        {
            order ??= new RowOrder(team, Memory.Longs(ids_TM), pairs, tables.Rows);
            work(
                team,
                order,
                [
                    .. factors.Select(factor => new RowGradient(
                        Memory.Floats(factor.Multiples_TM), Memory.Floats(factor.Vectors_TD), tables.Width, choices)),
                ]);
        });
    }

    /// <summary>Adds a backward pass.</summary>
    /// <param name="ids_TM">Rows, int64 (T, M).</param>
    /// <param name="factors">For every table the factors of each pair's gradient.</param>
    internal void Add(Tensor ids_TM, IReadOnlyList<RowFactors> factors)
    {
        order?.Dispose();
        order = null;
        passes.Add(new Pass(Own(ids_TM), [.. factors.Select(factor => new RowFactors(Own(factor.Multiples_TM), Own(factor.Vectors_TD)))]));
    }

    // The same memory, held by a handle of our own.
    private static Tensor Own(Tensor tensor) => tensor.detach().DetachFromDisposeScope();

    /// <summary>The gradient of one backward pass.</summary>
    /// <param name="Ids_TM">Rows, int64 (T, M).</param>
    /// <param name="Factors">For every table the factors of each pair's gradient.</param>
    internal sealed record Pass(Tensor Ids_TM, IReadOnlyList<RowFactors> Factors) : IDisposable
    {
        public void Dispose()
        {
            Ids_TM.Dispose();
            foreach (var (multiples_TM, vectors_TD) in Factors)
            {
                multiples_TM.Dispose();
                vectors_TD.Dispose();
            }
        }
    }
}
