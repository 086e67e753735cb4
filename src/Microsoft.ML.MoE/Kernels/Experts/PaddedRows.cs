// Places for the rows of each expert, in slices of few different heights.
//
// oneDNN, behind libtorch's products of bfloat16, generates code for every new shape, which takes 1 to 2 ms, longer than many an expert's
// product, and keeps it for the next product of that shape. The experts' rows differ in number from step to step; padded with zeros to
// multiples of 16 or more, they take shapes that were there before.

namespace Microsoft.ML.MoE.Kernels.Experts;

/// <summary>Where the rows of a dispatch plan lie when each expert's are padded.</summary>
internal sealed class PaddedRows
{
    private const int LeastSliceRows = 64;     // below, a product spends more time on copying its right operand than on the arithmetic
    private const int MostSliceRows = 512;     // above, a product gets no faster, and what it writes leaves the cache
    private const int SlicesPerThread = 4;

    private PaddedRows(IReadOnlyList<Chunk> chunks) => Chunks = chunks;

    /// <summary>
    /// Rows of some experts that are worked on together: in the backward pass, what lies between the products of a chunk takes memory.
    /// </summary>
    /// <param name="Place">Its first place.</param>
    /// <param name="Places">Its places.</param>
    /// <param name="Pieces">Its experts.</param>
    /// <param name="Slices">The slices of all pieces, in order.</param>
    public sealed record Chunk(int Place, int Places, IReadOnlyList<Piece> Pieces, IReadOnlyList<Slice> Slices);

    /// <summary>All rows of an expert that are in a chunk.</summary>
    /// <param name="Expert">The expert.</param>
    /// <param name="Place">Its first place.</param>
    /// <param name="Places">Its places, among them those without a row.</param>
    /// <param name="IsFirst">Whether the expert has no rows in earlier chunks.</param>
    public readonly record struct Piece(int Expert, int Place, int Places, bool IsFirst);

    /// <summary>Rows of an expert that one thread works on.</summary>
    /// <param name="Expert">The expert.</param>
    /// <param name="Row">Its first row in the plan.</param>
    /// <param name="Rows">Its rows.</param>
    /// <param name="Place">Its first place.</param>
    /// <param name="Places">Its places; those beyond the rows hold zeros.</param>
    public readonly record struct Slice(int Expert, int Row, int Rows, int Place, int Places);

    /// <summary>The parts, one after the other.</summary>
    public IReadOnlyList<Chunk> Chunks { get; }

    /// <summary>Places in all.</summary>
    public int Places => Chunks.Count == 0 ? 0 : Chunks[^1].Place + Chunks[^1].Places;

    /// <summary>Lays out the rows.</summary>
    /// <param name="rowEnds">One past the last row of each expert.</param>
    /// <param name="chunkRows">Rows after which a chunk ends, at least 1; an expert with more is cut.</param>
    /// <param name="threads">How many threads there are to be busy.</param>
    public static PaddedRows Create(ReadOnlySpan<int> rowEnds, int chunkRows, int threads)
    {
        var sliceRows = MostSliceRows;
        while (sliceRows > LeastSliceRows && sliceRows * threads * SlicesPerThread > rowEnds[^1])
            sliceRows /= 2;

        var chunks = new List<Chunk>();
        var (pieces, slices) = (new List<Piece>(), new List<Slice>());
        var (start, place, taken) = (0, 0, 0);
        for (var expert = 0; expert < rowEnds.Length; expert++)
        {
            var (first, end) = (expert == 0 ? 0 : rowEnds[expert - 1], rowEnds[expert]);
            for (var row = first; row < end;)
            {
                var rows = Math.Min(end - row, chunkRows);
                if (taken > 0 && taken + rows > chunkRows)
                    EndChunk();
                var piece = place;
                foreach (var (sliceRow, count, places) in Cut(row, rows, sliceRows))
                {
                    slices.Add(new Slice(expert, sliceRow, count, place, places));
                    place += places;
                }

                pieces.Add(new Piece(expert, piece, place - piece, IsFirst: row == first));
                taken += rows;
                row += rows;
            }
        }

        if (taken > 0)
            EndChunk();
        return new PaddedRows(chunks);

        void EndChunk()
        {
            chunks.Add(new Chunk(start, place - start, pieces, slices));
            (pieces, slices, start, taken) = ([], [], place, 0);
        }
    }

    // Slices of one height, but for the last. The more rows, the coarser the steps: a few dozen heights in all, and not many more sums of
    // them.
    private static IEnumerable<(int Row, int Rows, int Places)> Cut(int first, int rows, int sliceRows)
    {
        var step = rows <= 512 ? 16 : rows <= 4096 ? 32 : 64;
        var slices = Math.Max(1, (rows + (sliceRows / 4)) / sliceRows);
        var places = RoundUp((rows + slices - 1) / slices);
        for (var row = 0; row < rows; row += places)
        {
            var count = Math.Min(places, rows - row);
            yield return (first + row, count, RoundUp(count));
        }

        int RoundUp(int value) => (value + step - 1) / step * step;
    }
}
