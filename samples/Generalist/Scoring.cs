using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;

namespace GeneralistSample;

/// <summary>Measures every task on rows that were not trained on, chance beside it.</summary>
internal static class Scoring
{
    /// <summary>Measures tasks.</summary>
    /// <param name="ml">The context.</param>
    /// <param name="model">The model.</param>
    /// <param name="data">The rows.</param>
    /// <param name="others">Tasks that the model was not trained for.</param>
    public static IEnumerable<TaskScore> Measure(MLContext ml, GeneralistTransformer model, SampleData data, params GeneralistTask[] others) =>
        model.Tasks.Concat(others).SelectMany(task => Measure(ml, model.ForTask(task), data.Test[task.Name], data.Training.GetValueOrDefault(task.Name), model.Tokenizer));

    private static IEnumerable<TaskScore> Measure(MLContext ml, GeneralistTaskTransformer task, IDataView test, IDataView? training, TextTokenizer tokenizer)
    {
        var name = task.Task.Name;
        if (task.Task.Kind.IsClassification())
        {
            // ML.NET's evaluator compares keys: the labels get those of the model's classes.
            var classes = ml.Data.LoadFromEnumerable(task.Task.ClassNames!.Select(label => new TextRow { Label = label }));
            var keyed = ml.Transforms.Conversion.MapValueToKey("Label", keyData: ml.Transforms.SelectColumns("Label").Fit(classes).Transform(classes)).Fit(test).Transform(test);
            var often = test.GetColumn<string>("Label").CountBy(label => label).Max(pair => pair.Value) / (double)test.GetColumn<string>("Label").Count();
            yield return new TaskScore(name, "accuracy", ml.MulticlassClassification.Evaluate(task.Transform(keyed)).MicroAccuracy, often);
        }
        else if (task.Task.Kind.IsRetrieval())
        {
            var metrics = task.EvaluateRetrieval(test);
            yield return new TaskScore(name, "recall@1 of names", metrics.TextRecallAt1, 1.0 / metrics.Texts);
            yield return new TaskScore(name, "recall@10 of names", metrics.TextRecallAt10, 10.0 / metrics.Texts);
            yield return new TaskScore(name, "recall@10 of pictures", metrics.PictureRecallAt10, 20.0 / metrics.Pictures);   // a name has two pictures
        }
        else
        {
            var (unigramAccuracy, unigramPerplexity) = Unigrams(training!, test, tokenizer, withEnds: task.Task.Kind.IsCaption());
            var metrics = task.EvaluateTokens(test);
            yield return new TaskScore(name, "token accuracy", metrics.Accuracy, unigramAccuracy);
            yield return new TaskScore(name, "token perplexity", metrics.Perplexity, unigramPerplexity);
            if (task.Task.Kind.IsCaption())
                yield return new TaskScore(name, "BLEU-1", task.EvaluateCaptions(test).Bleu1, Bleu.Corpus([.. test.GetColumn<string>("Text").Select(_ => MostFrequent(training!))], [.. test.GetColumn<string>("Text").Select(text => new[] { text })], 1));
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

        IEnumerable<int> Tokens(IDataView rows) => rows.GetColumn<string>("Text").SelectMany(text => withEnds ? [.. tokenizer.Encode(text), tokenizer.SeparatorId] : tokenizer.Encode(text));
    }

    private static string MostFrequent(IDataView rows) => rows.GetColumn<string>("Text").SelectMany(text => text.Split(' ')).CountBy(word => word).MaxBy(pair => pair.Value).Key;
}
