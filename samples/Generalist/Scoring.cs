using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;

namespace GeneralistSample;

/// <summary>Measures every task on rows that were not trained on, chance beside it.</summary>
internal static class Scoring
{
    /// <summary>Measures all tasks of a model.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="model">The model.</param>
    /// <param name="data">The rows.</param>
    public static IEnumerable<TaskScore> Measure(MLContext ml, GeneralistTransformer model, SampleData data) =>
        model.Tasks.SelectMany(task => Measure(ml, model, task, data));

    /// <summary>Measures one task, which the model may not have been trained for.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="model">The model.</param>
    /// <param name="task">The task.</param>
    /// <param name="data">The rows.</param>
    public static IEnumerable<TaskScore> Measure(MLContext ml, GeneralistTransformer model, GeneralistTask task, SampleData data) =>
        Measure(ml, model.ForTask(task), data.Test[task.Name], data.Training.GetValueOrDefault(task.Name), model.Tokenizer);

    private static IEnumerable<TaskScore> Measure(
        MLContext ml, GeneralistTaskTransformer task, IDataView test, IDataView? training, TextTokenizer tokenizer)
    {
        var name = task.Task.Name;
        if (task.Task.Kind.IsClassification())
        {
            // ML.NET's evaluator compares keys: the labels get those of the model's classes.
            var classes = ml.Data.LoadFromEnumerable(task.Task.ClassNames!.Select(label => new TextRow { Label = label }));
            var keyed = ml
                .Transforms.Conversion.MapValueToKey("Label", keyData: ml.Transforms.SelectColumns("Label").Fit(classes).Transform(classes))
                .Fit(test)
                .Transform(test);
            var often =
                test.GetColumn<string>("Label").CountBy(label => label).Max(pair => pair.Value)
                / (double)test.GetColumn<string>("Label").Count();
            yield return new TaskScore(name, "accuracy", ml.MulticlassClassification.Evaluate(task.Transform(keyed)).MicroAccuracy, often);
        }
        else if (task.Task.Kind.IsRetrieval())
        {
            var metrics = task.EvaluateRetrieval(test);
            var pairs = (double)test.GetColumn<string>("Text").Count();   // a picture may have several texts, and a text several pictures
            yield return new TaskScore(name, "recall@1 of texts", metrics.TextRecall.At1, pairs / metrics.Pictures / metrics.Texts);
            yield return new TaskScore(name, "recall@10 of texts", metrics.TextRecall.At10, 10 * pairs / metrics.Pictures / metrics.Texts);
            yield return new TaskScore(
                name, "recall@10 of pictures", metrics.PictureRecall.At10, 10 * pairs / metrics.Texts / metrics.Pictures);
        }
        else
        {
            var (unigramAccuracy, unigramPerplexity) = Unigrams(training!, test, tokenizer, withEnds: task.Task.Kind.IsCaption());
            var metrics = task.EvaluateTokens(test);
            yield return new TaskScore(name, "token accuracy", metrics.Accuracy, unigramAccuracy);
            yield return new TaskScore(name, "token perplexity", metrics.Perplexity, unigramPerplexity);
            if (task.Task.Kind.IsCaption())
                yield return new TaskScore(name, "BLEU-1", task.EvaluateCaptions(test).Bleu1, BleuOf(MostFrequentText(training!), test));
        }
    }

    // What knows how often tokens are, and nothing else.
    private static (double Accuracy, double Perplexity) Unigrams(IDataView training, IDataView test, TextTokenizer tokenizer, bool withEnds)
    {
        var counts = new double[tokenizer.VocabularySize];
        Array.Fill(counts, 1);
        foreach (var id in Tokens(training))
            counts[id]++;
        var (all, most) = (counts.Sum(), Array.IndexOf(counts, counts.Max()));
        int[] asked = [.. Tokens(test)];
        return (asked.Count(id => id == most) / (double)asked.Length, Math.Exp(-asked.Average(id => Math.Log(counts[id] / all))));

        IEnumerable<int> Tokens(IDataView rows) =>
            rows.GetColumn<string>("Text")
                .SelectMany(text => withEnds ? [.. tokenizer.Encode(text), tokenizer.SeparatorId] : tokenizer.Encode(text));
    }

    private static string MostFrequentText(IDataView rows) =>
        rows.GetColumn<string>("Text").CountBy(text => text).MaxBy(pair => pair.Value).Key;

    // The same description for every picture. Rows of one file describe one picture.
    private static double BleuOf(string description, IDataView test)
    {
        string[] texts = [.. test.GetColumn<string>("Text")];
        string[][] references = test.Schema.GetColumnOrNull(nameof(FileRow.Path)) is null
            ? [.. texts.Select(text => new[] { text })]
            :
            [
                .. test.GetColumn<string>(nameof(FileRow.Path))
                    .Zip(texts)
                    .GroupBy(row => row.First, (_, rows) => rows.Select(row => row.Second).ToArray()),
            ];
        return Bleu.Corpus([.. references.Select(_ => description)], references, 1);
    }
}
