using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The columns that a classifier adds, with the annotations by which ML.NET's evaluators and key transforms know them.</summary>
/// <param name="PredictedLabelName">Name of the key of the most probable class.</param>
/// <param name="ScoreName">Name of the vector of class probabilities.</param>
/// <param name="EmbeddingName">Name of the pooled vector that the classes are read from; null for no such column.</param>
/// <param name="ClassCount">Number of classes.</param>
/// <param name="EmbeddingWidth">Length of that vector.</param>
/// <param name="LabelValues">What the classes are called, where known.</param>
internal sealed record ClassificationColumns(
    string PredictedLabelName, string ScoreName, string? EmbeddingName, int ClassCount, int EmbeddingWidth, LabelValues? LabelValues)
{
    /// <summary>Position of the predicted label among the added columns.</summary>
    public const int PredictedLabel = 0;

    /// <summary>Position of the score among the added columns.</summary>
    public const int Score = 1;

    /// <summary>Position of the embedding among the added columns, where it is one of them.</summary>
    public const int Embedding = 2;

    /// <summary>The columns to add to a schema.</summary>
    public DataViewSchema.DetachedColumn[] For(DataViewSchema input)
    {
        // Tells our columns from those of other scorers before us.
        var scoreSet = input.GetMaxAnnotationKind(out _, AnnotationUtils.Kinds.ScoreColumnSetId) + 1;

        var label = Annotations(scoreSet, AnnotationUtils.Const.ScoreValueKind.PredictedLabel);
        LabelValues?.AddTo(label, AnnotationUtils.Kinds.KeyValues);

        var score = Annotations(scoreSet, AnnotationUtils.Const.ScoreValueKind.Score);
        if (LabelValues is TextLabelValues)
            LabelValues.AddTo(score, AnnotationUtils.Kinds.SlotNames);
        LabelValues?.AddTo(score, AnnotationUtils.Kinds.TrainingLabelValues);

        DataViewSchema.DetachedColumn[] columns =
        [
            new(PredictedLabelName, new KeyDataViewType(typeof(uint), ClassCount), label.ToAnnotations()),
            new(ScoreName, new VectorDataViewType(NumberDataViewType.Single, ClassCount), score.ToAnnotations()),
        ];
        return EmbeddingName is null
            ? columns
            : [.. columns, new(EmbeddingName, new VectorDataViewType(NumberDataViewType.Single, EmbeddingWidth))];
    }

    /// <summary>What an estimator promises before it has seen data.</summary>
    public static IEnumerable<SchemaShape.Column> Shapes(
        string predictedLabelName, string scoreName, string? embeddingName, SchemaShape.Column label)
    {
        var annotations = AnnotationUtils.GetTrainerOutputAnnotation().ToList();
        if (label.Annotations.TryFindColumn(AnnotationUtils.Kinds.KeyValues, out var values))
            annotations.Add(values);
        yield return new(
            predictedLabelName, SchemaShape.Column.VectorKind.Scalar, NumberDataViewType.UInt32, true, new SchemaShape(annotations));
        yield return new(
            scoreName, SchemaShape.Column.VectorKind.Vector, NumberDataViewType.Single, false,
            new SchemaShape(AnnotationUtils.AnnotationsForMulticlassScoreColumn(label)));
        if (embeddingName is not null)
            yield return new(embeddingName, SchemaShape.Column.VectorKind.Vector, NumberDataViewType.Single, false);
    }

    private static DataViewSchema.Annotations.Builder Annotations(uint scoreSet, string valueKind)
    {
        var builder = new DataViewSchema.Annotations.Builder();
        builder.Add(AnnotationUtils.Kinds.ScoreColumnSetId, AnnotationUtils.ScoreColumnSetIdType, (ref uint value) => value = scoreSet);
        AddText(builder, AnnotationUtils.Kinds.ScoreColumnKind, AnnotationUtils.Const.ScoreColumnKind.MulticlassClassification);
        AddText(builder, AnnotationUtils.Kinds.ScoreValueKind, valueKind);
        return builder;
    }

    private static void AddText(DataViewSchema.Annotations.Builder builder, string kind, string text) =>
        builder.Add(kind, TextDataViewType.Instance, (ref ReadOnlyMemory<char> value) => value = text.AsMemory());
}
