namespace Microsoft.ML.MoE.Estimators;

/// <summary>What <c>ConvertToOnnx</c> gets to hear from our transformers.</summary>
/// <remarks>
/// It goes back from data view to data view through ML.NET's <c>IDataTransform.Source</c>. At one that cannot be exported, or that is none,
/// it stops, and the columns there become inputs of the exported model, which then lacks all that comes before, without an error. So our
/// views take part in the walk and end it with one.
/// </remarks>
internal static class OnnxExport
{
    /// <summary>The error that names a transformer.</summary>
    public static InvalidOperationException Refuse(ITransformer transformer) =>
        new(
            $"The transformer {transformer.GetType().Name} cannot be exported to ONNX: its network has no ONNX form, and a model without "
                + "it would ask for its outputs as inputs. "
                + "Save the whole with mlContext.Model.Save. To export only the steps behind it, give ConvertToOnnx those steps and its "
                + "output in memory "
                + "(mlContext.Data.Cache).");
}
