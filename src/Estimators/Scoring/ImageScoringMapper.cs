using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Scores one row at a time: for prediction engines, and for cursors whose rows cannot be buffered.</summary>
internal sealed class ImageScoringMapper(
    IHost host, ImageClassificationTransformer transformer, ImageScorer scorer, ImageColumn column, ClassificationColumns output, DataViewSchema input) : IRowMapper
{
    private readonly DataViewSchema.DetachedColumn[] outputColumns = output.For(input);
    private readonly int inputIndex = input[column.Name].Index;

    /// <inheritdoc/>
    public DataViewSchema.DetachedColumn[] GetOutputColumns() => outputColumns;

    /// <inheritdoc/>
    public ITransformer GetTransformer() => transformer;

    /// <inheritdoc/>
    public Func<int, bool> GetDependencies(Func<int, bool> activeOutput)
    {
        var active = IsActive(activeOutput);
        return index => active && index == inputIndex;
    }

    /// <inheritdoc/>
    public Delegate[] CreateGetters(DataViewRow row, Func<int, bool> activeOutput, out Action disposer)
    {
        var getters = new Delegate[outputColumns.Length];
        if (!IsActive(activeOutput))
        {
            disposer = () => { };
            return getters;
        }

        var withEmbeddings = outputColumns.Length > ClassificationColumns.Embedding && activeOutput(ClassificationColumns.Embedding);
        var block = new ScoreBlock(scorer, column, withEmbeddings);
        var reader = column.OpenReader(row);
        var unscored = new UnscoredRows(host, column, [reader]);
        long? position = null;
        disposer = () =>
        {
            block.Dispose();
            unscored.Close();
        };

        if (activeOutput(ClassificationColumns.PredictedLabel))
        {
            getters[ClassificationColumns.PredictedLabel] = (ValueGetter<uint>)((ref uint value) =>
            {
                Read();
                value = block.GetPredictedLabel(0);
            });
        }
        if (activeOutput(ClassificationColumns.Score))
        {
            getters[ClassificationColumns.Score] = (ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) =>
            {
                Read();
                block.GetScore(0, ref value);
            });
        }
        if (withEmbeddings)
        {
            getters[ClassificationColumns.Embedding] = (ValueGetter<VBuffer<float>>)((ref VBuffer<float> value) =>
            {
                Read();
                block.GetEmbedding(0, ref value);
            });
        }
        return getters;

        // All columns share one forward pass of the row. A prediction engine counts a position for every prediction.
        void Read()
        {
            if (position == row.Position)
                return;
            block.Reset(1);
            block.Add(reader);
            position = row.Position;
            if (row is not DataViewRowCursor)
                unscored.Report();   // a prediction engine may live as long as the process
        }
    }

    /// <inheritdoc/>
    public void Save(ModelSaveContext ctx) => ((ICanSaveModel)transformer).Save(ctx);

    private bool IsActive(Func<int, bool> activeOutput) => Enumerable.Range(0, outputColumns.Length).Any(activeOutput);
}
