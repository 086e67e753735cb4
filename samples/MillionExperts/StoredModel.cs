using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Shakespeare;

namespace MillionExperts;

/// <summary>A model in its zip: what writing or reading it took.</summary>
/// <param name="Seconds">Time.</param>
/// <param name="FileBytes">Size of the zip.</param>
/// <param name="PeakBytes">The most memory that the process had in use until then.</param>
/// <param name="ValidationLoss">Loss of the model on the validation part, in nats a byte.</param>
internal sealed record StoredModel(double Seconds, long FileBytes, long PeakBytes, double ValidationLoss)
{
    /// <summary>Writes a model.</summary>
    /// <param name="mlContext">The context it was trained with.</param>
    /// <param name="model">The model.</param>
    /// <param name="schema">The columns it was trained on.</param>
    /// <param name="validationLoss">Its loss.</param>
    /// <param name="file">The zip to write.</param>
    public static StoredModel Save(MLContext mlContext, ITransformer model, DataViewSchema schema, double validationLoss, string file)
    {
        var clock = Stopwatch.StartNew();
        mlContext.Model.Save(model, schema, file);
        return new(clock.Elapsed.TotalSeconds, new FileInfo(file).Length, PeakMemory(), validationLoss);
    }

    /// <summary>Reads a model and measures it again.</summary>
    /// <param name="file">The zip to read.</param>
    /// <param name="text">The text whose validation part it is measured on.</param>
    public static StoredModel Load(string file, string text)
    {
        var mlContext = new MLContext(seed: 1);
        var clock = Stopwatch.StartNew();
        using var model = (LanguageModelTransformer)mlContext.Model.Load(file, out _);
        var (seconds, peak) = (clock.Elapsed.TotalSeconds, PeakMemory());
        return new(
            seconds, new FileInfo(file).Length, peak, model.Evaluate(mlContext.Data.LoadFromEnumerable([Training.ToMeasure(text)])).Loss);
    }

    private static long PeakMemory()
    {
        using var process = Process.GetCurrentProcess();
        return process.PeakWorkingSet64;
    }
}
