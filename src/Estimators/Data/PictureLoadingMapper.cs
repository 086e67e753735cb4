using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using Microsoft.ML.Transforms.Image;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Loads the picture of one row at a time.</summary>
/// <param name="transformer">Whose column this is.</param>
/// <param name="input">The column with the files.</param>
internal sealed class PictureLoadingMapper(PictureLoadingTransformer transformer, DataViewSchema.Column input) : IRowMapper
{
    private readonly PictureDecoder decoder = new(transformer.Decoding);

    /// <inheritdoc/>
    public DataViewSchema.DetachedColumn[] GetOutputColumns() => [new(transformer.OutputColumnName, new ImageDataViewType())];

    /// <inheritdoc/>
    public ITransformer GetTransformer() => transformer;

    /// <inheritdoc/>
    public Func<int, bool> GetDependencies(Func<int, bool> activeOutput)
    {
        var active = activeOutput(0);
        return index => active && index == input.Index;
    }

    /// <inheritdoc/>
    public Delegate[] CreateGetters(DataViewRow row, Func<int, bool> activeOutput, out Action disposer)
    {
        disposer = () => { };
        return [activeOutput(0) ? (input.Type is TextDataViewType ? OfNames(row) : OfBytes(row)) : null!];
    }

    /// <inheritdoc/>
    public void Save(ModelSaveContext ctx) => ((ICanSaveModel)transformer).Save(ctx);

    private ValueGetter<MLImage> OfNames(DataViewRow row)
    {
        var getName = row.GetGetter<ReadOnlyMemory<char>>(row.Schema[input.Index]);
        var name = default(ReadOnlyMemory<char>);
        return (ref MLImage picture) =>
        {
            Release(ref picture);
            getName(ref name);
            if (!name.IsEmpty)
                picture = decoder.DecodeFile(Path.Combine(transformer.ImageFolder, name.ToString()));
        };
    }

    private ValueGetter<MLImage> OfBytes(DataViewRow row)
    {
        var getBytes = row.GetGetter<VBuffer<byte>>(row.Schema[input.Index]);
        var (bytes, dense) = (default(VBuffer<byte>), default(VBuffer<byte>));
        return (ref MLImage picture) =>
        {
            Release(ref picture);
            getBytes(ref bytes);
            if (bytes.Length == 0)
                return;
            if (!bytes.IsDense)
                bytes.CopyToDense(ref dense);
            var file = (bytes.IsDense ? bytes : dense).GetValues();
            picture = decoder.Decode(
                file,
                string.Create(CultureInfo.InvariantCulture, $"of {file.Length:N0} bytes in column '{input.Name}', row {row.Position:N0},"));
        };
    }

    // As ML.NET's transforms: the picture that was given out last comes back with the next call.
    private static void Release(ref MLImage picture)
    {
        picture?.Dispose();
        picture = null!;
    }
}
