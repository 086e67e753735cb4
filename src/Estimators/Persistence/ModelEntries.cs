using System.Security.Cryptography;
using Microsoft.ML.MoE.Weights;
using Microsoft.ML.Runtime;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Reads and writes the entries of a model in a zip, with their checksums in ML.NET's own <c>Model.key</c>, in the order in which they are
/// written.
/// </summary>
/// <remarks>A zip's own checksums are not compared when ML.NET reads it, so without ours an altered entry would go unnoticed.</remarks>
internal static class ModelEntries
{
    // A description with a million class names takes a few dozen megabytes, and so does the history of a thousand epochs of a hundred
    // layers of a hundred experts.
    private const int MostBytes = 1 << 28;

    private const int ChecksumBytes = SHA256.HashSizeInBytes;

    /// <summary>
    /// Loads a model, so that its errors come out with what they say: ML.NET makes loaders by reflection and lets only exceptions through
    /// that it has marked.
    /// </summary>
    /// <param name="environment">Marks exceptions.</param>
    /// <param name="context">The zip, at the model.</param>
    /// <param name="load">Reads the entries.</param>
    /// <exception cref="FormatException">The file is damaged, or newer than this version.</exception>
    /// <exception cref="InvalidOperationException">The model does not fit into the memory that is available.</exception>
    public static T Load<T>(IHostEnvironment environment, ModelLoadContext context, Func<T> load)
    {
        try
        {
            return load();
        }
        catch (Exception exception) when (exception is InvalidDataException or EndOfStreamException or FormatException or OverflowException)
        {
            // The inner exception stays out, so that ours is the base exception.
            throw environment.ExceptDecode($"The model '{context.Directory}' in this file cannot be loaded: {exception.Message}");
        }
        catch (InvalidOperationException exception)
        {
            throw environment.Except(exception, exception.Message);
        }
    }

    /// <summary>Writes an entry.</summary>
    public static void Write(ModelSaveContext context, string entry, byte[] content)
    {
        context.Writer.Write(SHA256.HashData(content));
        context.SaveBinaryStream(entry, writer => writer.Write(content));
    }

    /// <summary>Writes the weights of a model as an entry, tensor by tensor.</summary>
    public static void WriteWeights(ModelSaveContext context, string entry, torch.nn.Module model) =>
        context.SaveBinaryStream(entry, writer =>
        {
            using var sha = SHA256.Create();
            using (var hashing = new CryptoStream(writer.BaseStream, sha, CryptoStreamMode.Write, leaveOpen: true))
                ModuleWeights.Save(model, hashing);
            context.Writer.Write(sha.Hash!);
        });

    /// <summary>Refuses what a newer version wrote.</summary>
    /// <exception cref="InvalidDataException">It did.</exception>
    public static void RequireReadable(ModelLoadContext context, uint newest)
    {
        if (context.Header.ModelVerReadable > newest)
        {
            throw new InvalidDataException(
                $"it was saved by a newer version of MoE.ML (format 0x{context.Header.ModelVerReadable:x8}; this version reads up to "
                    + $"0x{newest:x8}). Update the package MoE.ML.");
        }
    }

    /// <summary>Reads the next checksum.</summary>
    /// <exception cref="InvalidDataException">There is none.</exception>
    public static byte[] ReadChecksum(ModelLoadContext context)
    {
        var checksum = context.Reader.ReadBytes(ChecksumBytes);
        return checksum.Length == ChecksumBytes ? checksum : throw new InvalidDataException("it is truncated.");
    }

    /// <summary>Reads a whole entry.</summary>
    /// <exception cref="InvalidDataException">There is no such entry, it is too large, or its checksum differs.</exception>
    public static byte[] Read(ModelLoadContext context, string entry, byte[] checksum)
    {
        byte[] bytes = [];
        Open(context, entry, stream =>
        {
            if (stream.Length > MostBytes)
                throw new InvalidDataException($"the entry '{entry}' has {stream.Length} bytes; at most {MostBytes} are read.");
            bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
        });
        Compare(SHA256.HashData(bytes), checksum, entry);
        return bytes;
    }

    /// <summary>Reads an entry of any size from its start, once its checksum agrees.</summary>
    /// <exception cref="InvalidDataException">There is no such entry, or its checksum differs.</exception>
    public static void Read(ModelLoadContext context, string entry, byte[] checksum, Action<Stream> read) => Open(context, entry, stream =>
    {
        Compare(SHA256.HashData(stream), checksum, entry);
        stream.Position = 0;
        read(stream);
    });

    /// <summary>
    /// Makes a model and reads its weights, once the checksum agrees and the entry is seen to hold as many as the model has.
    /// </summary>
    /// <param name="context">The zip, at the model.</param>
    /// <param name="entry">The entry with the weights.</param>
    /// <param name="checksum">Its checksum.</param>
    /// <param name="parameters">Parameters of the model, as its description has them.</param>
    /// <param name="leastBytes">The fewest bytes that a parameter takes.</param>
    /// <param name="build">Makes the model.</param>
    /// <exception cref="InvalidDataException">There is no such entry, its checksum differs, or it holds other weights.</exception>
    public static TModel ReadModel<TModel>(
        ModelLoadContext context, string entry, byte[] checksum, long parameters, int leastBytes, Func<TModel> build)
        where TModel : torch.nn.Module
    {
        TModel? model = null;
        try
        {
            Read(context, entry, checksum, stream =>
            {
                if (parameters <= 0 || parameters > stream.Length / leastBytes)
                    throw new InvalidDataException(
                        $"its description asks for {parameters} parameters, but '{entry}' has {stream.Length} bytes.");
                model = build();
                ModuleWeights.Load(model, stream, stream.Length);
            });
            return model!;
        }
        catch
        {
            model?.Dispose();
            throw;
        }
    }

    private static void Open(ModelLoadContext context, string entry, Action<Stream> read)
    {
        if (!context.TryLoadBinaryStream(entry, reader => read(reader.BaseStream)))
            throw new InvalidDataException($"it has no entry '{entry}'.");
    }

    private static void Compare(byte[] found, byte[] wanted, string entry)
    {
        if (!found.AsSpan().SequenceEqual(wanted))
            throw new InvalidDataException($"the entry '{entry}' has been altered or is damaged (its checksum differs).");
    }
}
