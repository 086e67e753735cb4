// The experts' forward and backward pass on the CPU in bfloat16: products by libtorch, what lies between them on vectors of float32.
//
// Axes: T = tokens of the whole batch, D = model width, F = hidden width of an expert, E = experts, K = experts chosen per token, P =
// places of padded rows,
//       C = places of a chunk, S = places of a slice, B = slices of a chunk.

using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Experts;

/// <summary>
/// yₜ = Σₖ gₜₖ · (gelu(xₜ·W1ₑ + b1ₑ)·W2ₑ + b2ₑ) and its gradients. A thread takes one slice of an expert's rows at a time through all
/// products, each of which runs on that thread alone: products of this size are faster so than divided among the threads, and what one
/// writes, the next finds in the cache.
/// </summary>
/// <remarks>Matrices are bfloat16; biases, gates, outputs and everything that is added up are float32.</remarks>
/// <param name="choices">K.</param>
/// <param name="rows">Where the experts' rows lie.</param>
/// <param name="tokenOfRow">For every row of the plan its token.</param>
/// <param name="pairOfRow">For every row of the plan its pair, token · K + choice.</param>
internal sealed unsafe class BFloat16Experts(int choices, PaddedRows rows, long* tokenOfRow, long* pairOfRow)
{
    private const int LeastColumns = 128;   // of a block of a weight's gradient
    private const int BlocksPerThread = 8;

    /// <summary>Computes the outputs.</summary>
    /// <param name="team">Who works.</param>
    /// <param name="x_TD">Tokens.</param>
    /// <param name="pass">Gates and weights, and room for what the backward pass needs.</param>
    /// <param name="b1_EF">Biases, float32.</param>
    /// <param name="y_TD">Receives the combined outputs, float32.</param>
    public void Forward(WorkTeam team, Tensor x_TD, BFloat16Pass pass, Tensor b1_EF, Tensor y_TD)
    {
        var (width, hiddenWidth, hidden_CF) = (pass.Width, pass.HiddenWidth, pass.Hidden_CF);
        var x = Memory.Halves(x_TD);
        var rowInputs = Memory.Halves(pass.X_PD);
        var b1 = Memory.Floats(b1_EF);
        var work = rows
            .Chunks.SelectMany((chunk, c) => chunk.Slices.Select(slice => (Slice: slice, Chunk: c)))
            .OrderByDescending(item => item.Slice.Places)
            .ToArray();
        var scratch = Scratch(team, work.Length == 0 ? 0 : work[0].Slice.Places, hiddenWidth);
        ForEachAlone(team, work.Length, i =>
        {
            var (slice, c) = work[i];
            _ = scratch.TryTake(out var scratch_SF);
            var activated_SF = scratch_SF!.narrow(0, 0, slice.Places);
            var hidden_SF = hidden_CF is null ? activated_SF : Part(hidden_CF[c], slice, rows.Chunks[c].Place);
            Gather(slice, x, rowInputs, width);
            Multiply(Part(pass.X_PD, slice), pass.W1_EDF.select(0, slice.Expert), hidden_SF);
            AddBiasAndActivate(
                Memory.Halves(hidden_SF), b1 + ((nint)slice.Expert * hiddenWidth), Memory.Halves(activated_SF), slice.Places, hiddenWidth);
            Multiply(activated_SF, pass.W2_EFD.select(0, slice.Expert), Part(pass.RowOutputs_PD, slice));
            scratch.Add(scratch_SF);
        });

        CombineOutputs(team, pass, y_TD);
    }

    /// <summary>Computes the gradients. All of them are overwritten.</summary>
    /// <param name="team">Who works.</param>
    /// <param name="pass">What the forward pass had and left.</param>
    /// <param name="dy_TD">Gradient of the combined outputs, float32.</param>
    /// <param name="gradients">Receive them.</param>
    public void Backward(WorkTeam team, BFloat16Pass pass, Tensor dy_TD, FeedForwardGradients gradients)
    {
        ClearIdle(gradients.Dw1_EDF, gradients.Dw2_EFD);
        foreach (var sums in new[] { gradients.DGates_TK, gradients.Db1_EF, gradients.Db2_ED })
            NativeMemory.Clear(Memory.Floats(sums), (nuint)(sums.NumberOfElements * sizeof(float)));

        var (rowGradients_PD, dRows_PD) = (empty_like(pass.X_PD), gradients.Dx_TD is null ? null : empty_like(pass.X_PD));
        for (var c = 0; c < rows.Chunks.Count; c++)
        {
            using var scope = NewDisposeScope();
            var hidden_CF = pass.Hidden_CF![c];
            var work = new ChunkWork(hidden_CF, empty_like(hidden_CF), empty_like(hidden_CF), rowGradients_PD, dRows_PD);
            GoBack(team, rows.Chunks[c], pass, dy_TD, work, gradients);
            MultiplyWeightGradients(team, rows.Chunks[c], pass.X_PD, work, gradients);
        }

        if (gradients.Dx_TD is { } dx_TD)
            CombineGradients(team, dRows_PD!, dx_TD);
        GC.KeepAlive(dRows_PD);
    }

    // From the outputs' gradients to those of the rows' tokens, slice by slice.
    private void GoBack(
        WorkTeam team, PaddedRows.Chunk chunk, BFloat16Pass pass, Tensor dy_TD, ChunkWork work, FeedForwardGradients gradients)
    {
        var (width, hiddenWidth) = (pass.Width, pass.HiddenWidth);
        var (db1_BF, db2_BD) = (zeros([chunk.Slices.Count, hiddenWidth]), zeros([chunk.Slices.Count, width]));
        var order = Enumerable.Range(0, chunk.Slices.Count).OrderByDescending(s => chunk.Slices[s].Places).ToArray();
        var dy = Memory.Floats(dy_TD);
        var dGates = Memory.Floats(gradients.DGates_TK);
        var rowGradients = Memory.Halves(work.RowGradients_PD);
        var db1 = Memory.Floats(db1_BF);
        var db2 = Memory.Floats(db2_BD);
        ForEachAlone(team, order.Length, i =>
        {
            var s = order[i];
            var slice = chunk.Slices[s];
            Spread(slice, pass, dy, rowGradients, dGates, db2 + ((nint)s * width));
            var hiddenGradients_SF = Part(work.HiddenGradients_CF, slice, chunk.Place);
            Multiply(Part(work.RowGradients_PD, slice), pass.W2_EFD.select(0, slice.Expert).t(), hiddenGradients_SF);
            Differentiate(
                Memory.Halves(Part(work.Hidden_CF, slice, chunk.Place)),
                Memory.Halves(hiddenGradients_SF),
                Memory.Halves(Part(work.Activated_CF, slice, chunk.Place)),
                db1 + ((nint)s * hiddenWidth),
                slice.Places,
                hiddenWidth);
            if (work.DRows_PD is not null)
                Multiply(hiddenGradients_SF, pass.W1_EDF.select(0, slice.Expert).t(), Part(work.DRows_PD, slice));
        });

        for (var s = 0; s < chunk.Slices.Count; s++)
        {
            var expert = (nint)chunk.Slices[s].Expert;
            RowSums.AddScaled(db1 + ((nint)s * hiddenWidth), 1, Memory.Floats(gradients.Db1_EF) + (expert * hiddenWidth), hiddenWidth);
            RowSums.AddScaled(db2 + ((nint)s * width), 1, Memory.Floats(gradients.Db2_ED) + (expert * width), width);
        }

        GC.KeepAlive(db1_BF);
        GC.KeepAlive(db2_BD);
    }

    // One product over all rows of an expert, whatever slices they are in, so that nothing is rounded in between; in blocks of columns
    // where experts are few.
    private static void MultiplyWeightGradients(
        WorkTeam team, PaddedRows.Chunk chunk, Tensor x_PD, ChunkWork work, FeedForwardGradients gradients)
    {
        var hiddenWidth = (int)gradients.Dw1_EDF.shape[2];
        var blocks = 1;
        while (
            hiddenWidth % (2 * blocks) == 0
            && hiddenWidth / (2 * blocks) >= LeastColumns
            && 2 * chunk.Pieces.Count * blocks < team.Threads * BlocksPerThread)
            blocks *= 2;
        var columns = hiddenWidth / blocks;
        var pieces = chunk.Pieces.OrderByDescending(piece => piece.Places).ToArray();
        ForEachAlone(team, 2 * pieces.Length * blocks, i =>
        {
            var piece = pieces[i / (2 * blocks)];
            var first = i / 2 % blocks * columns;
            var (place, places, placeInChunk) = (piece.Place, piece.Places, piece.Place - chunk.Place);
            if (i % 2 == 0)
            {
                var hiddenGradients_SX = work.HiddenGradients_CF.narrow(0, placeInChunk, places).narrow(1, first, columns);
                Multiply(
                    x_PD.narrow(0, place, places).t(),
                    hiddenGradients_SX,
                    gradients.Dw1_EDF.select(0, piece.Expert).narrow(1, first, columns),
                    add: !piece.IsFirst);
            }
            else
            {
                var activated_SX = work.Activated_CF.narrow(0, placeInChunk, places).narrow(1, first, columns);
                Multiply(
                    activated_SX.t(),
                    work.RowGradients_PD.narrow(0, place, places),
                    gradients.Dw2_EFD.select(0, piece.Expert).narrow(0, first, columns),
                    add: !piece.IsFirst);
            }
        });
    }

    // A piece of memory for each thread. Threads that come and go must not make large blocks themselves: the C library unmaps a thread's
    // own heap when it is empty.
    private static ConcurrentBag<Tensor> Scratch(WorkTeam team, int places, int columns) =>
        [.. Enumerable.Range(0, team.Threads).Select(_ => empty([places, columns], bfloat16))];

    // Every item in a dispose scope of its own, without gradients, and with products that do not divide themselves among threads. In
    // inference mode, which a thread does not take over from the one that started it: tensors made in it may be written in it only, and
    // others too.
    private static void ForEachAlone(WorkTeam team, int count, Action<int> body) => team.ForEach(count, (item, _) =>
    {
        using var alone = OpenMp.OnThisThreadAlone();
        using var inference = inference_mode();
        using var scope = NewDisposeScope();
        body(item);
    });

    private static Tensor Part(Tensor matrix_PX, PaddedRows.Slice slice, int firstPlace = 0) =>
        matrix_PX.narrow(0, slice.Place - firstPlace, slice.Places);

    // output = left · right, or that added to it. With a factor of 0, what the output holds is not read.
    private static void Multiply(Tensor left, Tensor right, Tensor output, bool add = false) => output.addmm_(left, right, add ? 1 : 0, 1);

    // Experts without rows have gradients of 0.
    private void ClearIdle(params ReadOnlySpan<Tensor> gradients_EXX)
    {
        var busy = rows.Chunks.SelectMany(chunk => chunk.Pieces).Select(piece => (long)piece.Expert).ToHashSet();
        foreach (var gradient_EXX in gradients_EXX)
        {
            var numbers = gradient_EXX.shape[1] * gradient_EXX.shape[2];
            for (var e = 0L; e < gradient_EXX.shape[0]; e++)
            {
                if (!busy.Contains(e))
                    Clear(Memory.Halves(gradient_EXX) + (e * numbers), numbers);
            }
        }
    }

    private static void Clear(ushort* numbers, long count) => NativeMemory.Clear(numbers, (nuint)count * sizeof(ushort));

    // Places without a row get 0.
    private void Gather(PaddedRows.Slice slice, ushort* x, ushort* rowInputs, int width)
    {
        var bytes = (long)width * sizeof(ushort);
        for (var i = 0; i < slice.Rows; i++)
            Buffer.MemoryCopy(x + (tokenOfRow[slice.Row + i] * width), rowInputs + ((nint)(slice.Place + i) * width), bytes, bytes);
        Clear(rowInputs + ((nint)(slice.Place + slice.Rows) * width), (slice.Places - slice.Rows) * (long)width);
    }

    // Hands each row the gradient of its output, and each gate its own; adds up the rows' gradients. Places without a row get 0.
    private void Spread(PaddedRows.Slice slice, BFloat16Pass pass, float* dy, ushort* rowGradients, float* dGates, float* sums)
    {
        var width = pass.Width;
        var gates = Memory.Floats(pass.Gates_TK);
        var rowOutputs = Memory.Halves(pass.RowOutputs_PD);
        var bias = Memory.Floats(pass.B2_ED) + ((nint)slice.Expert * width);
        for (var i = 0; i < slice.Rows; i++)
        {
            var pair = pairOfRow[slice.Row + i];
            var place = (nint)(slice.Place + i) * width;
            dGates[pair] = DotAndScale(
                dy + (tokenOfRow[slice.Row + i] * width), rowOutputs + place, bias, gates[pair], rowGradients + place, sums, width);
        }

        Clear(rowGradients + ((nint)(slice.Place + slice.Rows) * width), (slice.Places - slice.Rows) * (long)width);
    }

    // Adds up the rows of each token in the order of its choices, so that the sum does not depend on the threads: outputs, with biases and
    // gates, to float32.
    private void CombineOutputs(WorkTeam team, BFloat16Pass pass, Tensor y_TD)
    {
        var width = pass.Width;
        var values = Memory.Halves(pass.RowOutputs_PD);
        var biases = Memory.Floats(pass.B2_ED);
        var gates = Memory.Floats(pass.Gates_TK);
        var sums = Memory.Floats(y_TD);
        ForEachToken(team, (int)y_TD.shape[0], (token, placeOfPair, expertOfPair) =>
        {
            for (var i = 0; i < width; i += VectorMemory.Count)
            {
                var sum = Vector512<float>.Zero;
                for (var pair = token * choices; pair < (token + 1) * choices; pair++)
                {
                    if (placeOfPair[pair] < 0)
                        continue;
                    var value = VectorMemory.Load(values + ((nint)placeOfPair[pair] * width) + i, width - i);
                    sum += (value + VectorMemory.Load(biases + ((nint)expertOfPair[pair] * width) + i, width - i)) * gates[pair];
                }

                VectorMemory.Store(sum, sums + ((nint)token * width) + i, width - i);
            }
        });
    }

    // The same for gradients, to bfloat16.
    private void CombineGradients(WorkTeam team, Tensor dRows_PD, Tensor dx_TD)
    {
        var width = (int)dx_TD.shape[1];
        var values = Memory.Halves(dRows_PD);
        var sums = Memory.Halves(dx_TD);
        ForEachToken(team, (int)dx_TD.shape[0], (token, placeOfPair, _) =>
        {
            for (var i = 0; i < width; i += VectorMemory.Count)
            {
                var sum = Vector512<float>.Zero;
                for (var pair = token * choices; pair < (token + 1) * choices; pair++)
                {
                    if (placeOfPair[pair] >= 0)
                        sum += VectorMemory.Load(values + ((nint)placeOfPair[pair] * width) + i, width - i);
                }

                VectorMemory.Store(sum, sums + ((nint)token * width) + i, width - i);
            }
        });
    }

    // With the place of each pair, -1 for a dropped one, and its expert.
    private void ForEachToken(WorkTeam team, int tokens, Action<int, int[], int[]> body)
    {
        var placeOfPair = new int[tokens * choices];
        var expertOfPair = new int[tokens * choices];
        Array.Fill(placeOfPair, -1);
        foreach (var slice in rows.Chunks.SelectMany(chunk => chunk.Slices))
        {
            for (var i = 0; i < slice.Rows; i++)
                (placeOfPair[pairOfRow[slice.Row + i]], expertOfPair[pairOfRow[slice.Row + i]]) = (slice.Place + i, slice.Expert);
        }

        team.ForRanges(tokens, (start, end) =>
        {
            for (var token = start; token < end; token++)
                body(token, placeOfPair, expertOfPair);
        });
    }

    // hidden += bias; activated = gelu(hidden). Both may be the same memory, where hidden is not kept.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddBiasAndActivate(ushort* hidden, float* bias, ushort* activated, int rows, int columns)
    {
        for (var row = 0; row < rows; row++, hidden += columns, activated += columns)
        {
            for (var i = 0; i < columns; i += VectorMemory.Count)
            {
                var sum = VectorMemory.Load(hidden + i, columns - i) + VectorMemory.Load(bias + i, columns - i);
                if (hidden != activated)
                {
                    VectorMemory.Store(sum, hidden + i, columns - i);
                    sum = VectorMemory.Load(hidden + i, columns - i);   // as the backward pass will see it
                }

                VectorMemory.Store(VectorGelu.Value(sum), activated + i, columns - i);
            }
        }
    }

    // gradients *= gelu'(hidden); activated = gelu(hidden); sums += the gradients' rows.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Differentiate(ushort* hidden, ushort* gradients, ushort* activated, float* sums, int rows, int columns)
    {
        for (var row = 0; row < rows; row++, hidden += columns, gradients += columns, activated += columns)
        {
            for (var i = 0; i < columns; i += VectorMemory.Count)
            {
                var (value, derivative) = VectorGelu.ValueAndDerivative(VectorMemory.Load(hidden + i, columns - i));
                var gradient = VectorMemory.Load(gradients + i, columns - i) * derivative;
                VectorMemory.Store(value, activated + i, columns - i);
                VectorMemory.Store(gradient, gradients + i, columns - i);
                VectorMemory.Store(VectorMemory.Load(sums + i, columns - i) + gradient, sums + i, columns - i);
            }
        }
    }

    // The dot product of a and b + bias; a times the factor goes to scaled and is added to the sums.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float DotAndScale(float* a, ushort* b, float* bias, float factor, ushort* scaled, float* sums, int count)
    {
        var dot = Vector512<float>.Zero;
        for (var i = 0; i < count; i += VectorMemory.Count)
        {
            var va = VectorMemory.Load(a + i, count - i);
            dot = Vector512.FusedMultiplyAdd(va, VectorMemory.Load(b + i, count - i) + VectorMemory.Load(bias + i, count - i), dot);
            va *= factor;
            VectorMemory.Store(va, scaled + i, count - i);
            VectorMemory.Store(VectorMemory.Load(sums + i, count - i) + va, sums + i, count - i);
        }

        return Vector512.Sum(dot);
    }

    /// <summary>What lies between the products of a chunk in the backward pass.</summary>
    /// <param name="Hidden_CF">The sums before GELU, which the forward pass left.</param>
    /// <param name="Activated_CF">Receives their GELU.</param>
    /// <param name="HiddenGradients_CF">Receives their gradients.</param>
    /// <param name="RowGradients_PD">Receives the gradients of the rows' outputs, of all chunks.</param>
    /// <param name="DRows_PD">Receives the gradients of the rows' tokens, of all chunks; null if they are not wanted.</param>
    private sealed record ChunkWork(
        Tensor Hidden_CF, Tensor Activated_CF, Tensor HiddenGradients_CF, Tensor RowGradients_PD, Tensor? DRows_PD);
}
