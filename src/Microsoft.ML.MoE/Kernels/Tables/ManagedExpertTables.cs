// Experts that are rows of tables, in managed code on the CPU: one pass over the rows of each token, forwards and backwards, that reads
// them where they lie.
//
// Axes: T = tokens of the whole batch, D = model width, N = experts, M = experts of a token.

using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>
/// The experts of a token in blocks of sixteen: products of their rows with the token, activation and gates for all sixteen at once, the
/// sum of their outputs. While one table's rows of a block are worked on, the next table's, or the next block's, are on their way from
/// memory. Tokens are independent of each other, so the results do not depend on the number of threads.
/// </summary>
/// <typeparam name="TRow">How the tables are stored.</typeparam>
/// <param name="all">The tables, each (N, D), on the CPU: those that tokens are multiplied with, none, one, or one and the gate, then the
/// one that is added up.</param>
/// <param name="relu">Whether the activation is max(0, x); else GELU.</param>
internal sealed unsafe class ManagedExpertTables<TRow>(Tensor[] all, bool relu)
    : IExpertTablesKernel, ITableRows where TRow : struct, IRowFormat
{
    private const int BlockSize = 16;       // pairs: one vector of gates, 16 KB of rows in flight at a width of 256
    private const int TokensPerTask = 8;    // the first block of a task is not on its way yet

    private readonly nint[] addresses = Pointers(all);
    private readonly int width = (int)all[0].shape[1];

    /// <inheritdoc/>
    public (Tensor Y_TD, Tensor[] Products) Forward(Tensor x_TD, Tensor gates_TM, Tensor ids_TM)
    {
        using var scope = NewDisposeScope();
        var (tokens, choices) = ((int)gates_TM.shape[0], (int)gates_TM.shape[1]);
        var y_TD = empty_like(x_TD);
        var products = all[..^1].Select(_ => empty_like(gates_TM)).ToArray();
        var pass = new Pass(addresses, width, relu, x_TD, gates_TM, ids_TM, products);
        var y = Memory.Floats(y_TD);
        WorkTeam.Run(get_num_threads(), team =>
            team.ForEach((tokens + TokensPerTask - 1) / TokensPerTask, (task, _) =>
                pass.Forward(task * TokensPerTask, Math.Min((task + 1) * TokensPerTask, tokens), y)));
        KeepAlive(all, x_TD, gates_TM, ids_TM);
        return (y_TD.MoveToOuterDisposeScope(), [.. products.Select(product => product.MoveToOuterDisposeScope())]);
    }

    /// <summary>Lets go of tables that are its own.</summary>
    public void Dispose()
    {
        foreach (var table in all)
            table.Dispose();
    }

    /// <inheritdoc/>
    public void Sum(float* x, float* gates, long* ids, int choices, float* sum)
    {
        new Pass(addresses, width, relu, x, gates, ids, choices).Forward(0, 1, sum);
        GC.KeepAlive(all);
    }

    /// <inheritdoc/>
    public (Tensor? Dx_TD, Tensor DGates_TM, Tensor[] Multiples_TM) Backward(
        Tensor x_TD, Tensor gates_TM, Tensor ids_TM, Tensor[] products, Tensor dy_TD, bool wantsTokens)
    {
        using var scope = NewDisposeScope();
        var tokens = (int)gates_TM.shape[0];
        var dGates_TM = empty_like(gates_TM);
        var dx_TD = wantsTokens && products.Length > 0 ? empty_like(x_TD) : null;
        var multiples = products.Length == 0 ? [gates_TM.alias()] : all.Select(_ => empty_like(gates_TM)).ToArray();
        var pass = new Pass(addresses, width, relu, x_TD, gates_TM, ids_TM, products);
        var gradients = new Gradients(
            Memory.Floats(dy_TD),
            dx_TD is null ? null : Memory.Floats(dx_TD),
            Memory.Floats(dGates_TM),
            products.Length == 0 ? [] : Pointers(multiples));
        WorkTeam.Run(get_num_threads(), team =>
            team.ForEach((tokens + TokensPerTask - 1) / TokensPerTask, (task, _) =>
                pass.Backward(task * TokensPerTask, Math.Min((task + 1) * TokensPerTask, tokens), gradients)));
        KeepAlive(all, x_TD, gates_TM, ids_TM, dy_TD, products);
        return (
            dx_TD?.MoveToOuterDisposeScope(),
            dGates_TM.MoveToOuterDisposeScope(),
            [.. multiples.Select(multiple => multiple.MoveToOuterDisposeScope())]);
    }

    private static nint[] Pointers(Tensor[] tensors) => [.. tensors.Select(tensor => (nint)Memory.Address(tensor))];

    private static void KeepAlive(params object[] tensors) => GC.KeepAlive(tensors);

    private sealed record Gradients(nint Dy, nint Dx, nint DGates, nint[] Multiples)
    {
        public Gradients(float* dy, float* dx, float* dGates, nint[] multiples) : this((nint)dy, (nint)dx, (nint)dGates, multiples)
        {
        }
    }

    /// <summary>One forward or backward pass, on numbers in memory.</summary>
    private readonly struct Pass
    {
        private readonly int width;
        private readonly int choices;
        private readonly bool gated;
        private readonly bool relu;
        private readonly byte* down;
        private readonly byte* gate;
        private readonly byte* up;
        private readonly float* x;
        private readonly float* gates;
        private readonly long* ids;
        private readonly float* downProducts;   // null where no backward pass needs them
        private readonly float* gateProducts;

        public Pass(nint[] tables, int width, bool relu, Tensor x_TD, Tensor gates_TM, Tensor ids_TM, Tensor[] products)
            : this(tables, width, relu, Memory.Floats(x_TD), Memory.Floats(gates_TM), Memory.Longs(ids_TM), (int)gates_TM.shape[1])
        {
            downProducts = products.Length > 0 ? Memory.Floats(products[0]) : null;
            gateProducts = products.Length > 1 ? Memory.Floats(products[1]) : null;
        }

        public Pass(nint[] tables, int width, bool relu, float* x, float* gates, long* ids, int choices)
        {
            (this.width, this.choices, gated, this.relu) = (width, choices, tables.Length > 2, relu);
            down = tables.Length > 1 ? (byte*)tables[0] : null;
            gate = gated ? (byte*)tables[1] : null;
            up = (byte*)tables[^1];
            this.x = x;
            this.gates = gates;
            this.ids = ids;
        }

        public void Forward(int firstToken, int endToken, float* y)
        {
            float* h = stackalloc float[3 * BlockSize], s = h + BlockSize, factors = s + BlockSize;
            var end = (long)endToken * choices;
            for (var token = firstToken; token < endToken; token++)
            {
                var xToken = x + ((nint)token * width);
                var yToken = y + ((nint)token * width);
                NativeMemory.Clear(yToken, (nuint)width * sizeof(float));
                for (var choice = 0; choice < choices; choice += BlockSize)
                {
                    var pair = ((long)token * choices) + choice;
                    var count = Math.Min(BlockSize, choices - choice);
                    var block = ids + pair;
                    var following = new RowFetch(down == null ? up : down, block + count, (int)Math.Min(BlockSize, end - pair - count));
                    Load(gates + pair, count, factors);
                    if (down != null)
                    {
                        RowGather<TRow>.Dots(down, width, block, count, xToken, h, new RowFetch(gated ? gate : up, block, count));
                        if (downProducts != null)
                            Copy(h, count, downProducts + pair);
                        if (gated)
                        {
                            RowGather<TRow>.Dots(gate, width, block, count, xToken, s, new RowFetch(up, block, count));
                            if (gateProducts != null)
                                Copy(s, count, gateProducts + pair);
                        }

                        (Vector512.Load(factors) * Neurons(Vector512.Load(h), Vector512.Load(s))).Store(factors);
                    }

                    RowGather<TRow>.AddRows(up, width, block, count, factors, yToken, following);
                }
            }
        }

        public void Backward(int firstToken, int endToken, Gradients gradients)
        {
            float* h = stackalloc float[6 * BlockSize],
                s = h + BlockSize,
                g = s + BlockSize,
                dots = g + BlockSize,
                first = dots + BlockSize,
                second = first + BlockSize;
            var (dy, dx) = (gradients.Dy, gradients.Dx);
            var dGates = (float*)gradients.DGates;
            var end = (long)endToken * choices;
            for (var token = firstToken; token < endToken; token++)
            {
                var dyToken = (float*)dy + ((nint)token * width);
                var dxToken = dx == 0 ? null : (float*)dx + ((nint)token * width);
                if (dxToken != null)
                    NativeMemory.Clear(dxToken, (nuint)width * sizeof(float));
                for (var choice = 0; choice < choices; choice += BlockSize)
                {
                    var pair = ((long)token * choices) + choice;
                    var count = Math.Min(BlockSize, choices - choice);
                    var block = ids + pair;
                    var following = new RowFetch(up, block + count, (int)Math.Min(BlockSize, end - pair - count));
                    RowGather<TRow>.Dots(
                        up, width, block, count, dyToken, dots, dxToken == null ? following : new RowFetch(down, block, count));
                    if (down == null)
                    {
                        Copy(dots, count, dGates + pair);
                        continue;
                    }

                    Load(gates + pair, count, g);
                    Load(downProducts + pair, count, h);
                    if (gated)
                        Load(gateProducts + pair, count, s);
                    var (vh, vs, vg, vd) = (Vector512.Load(h), Vector512.Load(s), Vector512.Load(g), Vector512.Load(dots));
                    var neurons = Neurons(vh, vs);
                    var scaled = vg * vd;
                    (vd * neurons).Store(dots);
                    Copy(dots, count, dGates + pair);
                    (vg * neurons).Store(dots);
                    Copy(dots, count, (float*)gradients.Multiples[^1] + pair);
                    (scaled * (gated ? Activate(vs) : Derive(vh))).Store(first);
                    Copy(first, count, (float*)gradients.Multiples[0] + pair);
                    if (gated)
                    {
                        (scaled * vh * Derive(vs)).Store(second);
                        Copy(second, count, (float*)gradients.Multiples[1] + pair);
                    }

                    if (dxToken == null)
                        continue;
                    RowGather<TRow>.AddRows(
                        down, width, block, count, first, dxToken, gated ? new RowFetch(gate, block, count) : following);
                    if (gated)
                        RowGather<TRow>.AddRows(gate, width, block, count, second, dxToken, following);
                }
            }
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private Vector512<float> Neurons(Vector512<float> h, Vector512<float> s) => gated ? Activate(s) * h : Activate(h);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private Vector512<float> Activate(Vector512<float> v) => relu ? Vector512.Max(v, Vector512<float>.Zero) : VectorGelu.Value(v);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private Vector512<float> Derive(Vector512<float> v) => relu
            ? Vector512.ConditionalSelect(Vector512.GreaterThan(v, Vector512<float>.Zero), Vector512<float>.One, Vector512<float>.Zero)
            : VectorGelu.Derivative(v);

        // A block of fewer than sixteen ends in zeros.
        private static void Load(float* source, int count, float* block)
        {
            Vector512<float>.Zero.Store(block);
            Copy(source, count, block);
        }

        private static void Copy(float* source, int count, float* target) =>
            Buffer.MemoryCopy(source, target, count * sizeof(float), count * sizeof(float));
    }
}
