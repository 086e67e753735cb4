using Microsoft.ML.Data;
using Microsoft.ML.MoE.Interchange;
using Microsoft.ML.Runtime;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Gives texts vectors, by a text encoder that another library trained. There is nothing to fit.</summary>
public sealed partial class TextEncoding : IEstimator<TextEncodingTransformer>
{
    private readonly IHostEnvironment environment;
    private readonly Options options;

    internal TextEncoding(IHostEnvironment environment, Options options)
    {
        options.Validate();
        (this.environment, this.options) = (environment, options.Copy());
    }

    /// <summary>Checks the column and reads the network and its tokenizer.</summary>
    /// <param name="input">The data; nothing of it is read.</param>
    /// <returns>What encodes texts. The caller disposes it.</returns>
    /// <exception cref="ArgumentException">The text column is missing or has another type.</exception>
    /// <exception cref="InvalidDataException">
    /// The folder has no <c>vocab.txt</c>, or one that does not belong to the network, or a file has become shorter.
    /// </exception>
    public TextEncodingTransformer Fit(IDataView input)
    {
        environment.CheckValue(input, nameof(input));
        var transformer = Create();
        try
        {
            _ = transformer.GetOutputSchema(input.Schema);
            return transformer;
        }
        catch
        {
            transformer.Dispose();
            throw;
        }
    }

    /// <summary>The columns after this estimator, from the columns before it.</summary>
    /// <exception cref="ArgumentException">The text column is missing or has another type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        environment.CheckValue(inputSchema, nameof(inputSchema));
        if (!inputSchema.TryFindColumn(options.Input, out var column))
            throw environment.ExceptSchemaMismatch(nameof(inputSchema), "text", options.Input);
        if (column.Kind != SchemaShape.Column.VectorKind.Scalar || column.ItemType is not TextDataViewType)
            throw environment.ExceptSchemaMismatch(
                nameof(inputSchema), "text", options.Input, TextDataViewType.Instance.ToString(), column.GetTypeString());
        var columns = inputSchema.ToDictionary(one => one.Name);
        columns[options.OutputColumnName] = new(
            options.OutputColumnName, SchemaShape.Column.VectorKind.Vector, NumberDataViewType.Single, isKey: false);
        return new SchemaShape(columns.Values);
    }

    private TextEncodingTransformer Create()
    {
        var device = environment.SelectDevice();   // loads libtorch: before anything of it is touched
        var weights = options.Weights!;
        var config = weights.RequireTextEncoder(nameof(options.Weights));
        var tokenizer = WordPieceTokenizer.FromFolder(weights.Folder);
        tokenizer.RequireKnownBy(config);
        using var scope = torch.NewDisposeScope();   // the scorer takes the weights out of it
        var model = weights.BuildTextEncoder(device, config.ComputeType(options.Precision, device));
        return new(
            environment,
            new(model, tokenizer, device, (options.PredictionBatchSize, options.Normalize)),
            new()
            {
                InputColumnName = options.Input,
                OutputColumnName = options.OutputColumnName,
                Normalize = options.Normalize,
                Precision = options.Precision,
                PredictionBatchSize = options.PredictionBatchSize,
                Encoder = config,
            });
    }
}
