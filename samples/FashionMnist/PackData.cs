// Packs the part of Fashion-MNIST that samples/FashionMnist ships from the official files:
//
//     dotnet run samples/FashionMnist/PackData.cs -- DIRECTORY-WITH-THE-OFFICIAL-FILES [OUTPUT-DIRECTORY]
//
// The first 20,000 training images in the official order, and all 10,000 test images. The IDX format stays; Brotli takes the place of gzip
// (383 bytes an image instead of 437), so that more training images fit into 12 MB; 5,000 images go to a file, which keeps every file
// under 2 MB.

#:property PublishAot=false
#:property UseTorchBackend=false

using System.Buffers.Binary;
using System.IO.Compression;

const int TrainingImages = 20_000;
const int TestImages = 10_000;
const int ImagesPerFile = 5_000;

if (args.Length is 0 or > 2)
{
    Console.Error.WriteLine("usage: dotnet run samples/FashionMnist/PackData.cs -- DIRECTORY-WITH-THE-OFFICIAL-FILES [OUTPUT-DIRECTORY]");
    return 2;
}

var source = args[0];
var output = args.Length == 2 ? args[1] : Path.Combine("samples", "FashionMnist", "data");
Directory.CreateDirectory(output);

Pack("train-images-idx3-ubyte", TrainingImages, ImagesPerFile);
Pack("train-labels-idx1-ubyte", TrainingImages, TrainingImages);
Pack("t10k-images-idx3-ubyte", TestImages, ImagesPerFile);
Pack("t10k-labels-idx1-ubyte", TestImages, TestImages);
return 0;

// IDX: a big-endian magic number whose last byte counts the dimensions, one big-endian 32-bit size for each, then the bytes.
void Pack(string name, int count, int perFile)
{
    using var gzip = new GZipStream(File.OpenRead(Path.Combine(source, name + ".gz")), CompressionMode.Decompress);
    using var buffer = new MemoryStream();
    gzip.CopyTo(buffer);
    var idx = buffer.ToArray();

    var headerLength = 4 + (4 * idx[3]);
    var available = BinaryPrimitives.ReadInt32BigEndian(idx.AsSpan(4));
    if (available < count)
        throw new InvalidDataException($"{name}.gz holds {available} items; {count} are wanted.");

    var itemLength = (idx.Length - headerLength) / available;
    for (var first = 0; first < count; first += perFile)
    {
        var part = new byte[headerLength + (perFile * itemLength)];
        idx.AsSpan(0, headerLength).CopyTo(part);
        BinaryPrimitives.WriteInt32BigEndian(part.AsSpan(4), perFile);
        idx.AsSpan(headerLength + (first * itemLength), perFile * itemLength).CopyTo(part.AsSpan(headerLength));

        var packed = new byte[BrotliEncoder.GetMaxCompressedLength(part.Length)];
        if (!BrotliEncoder.TryCompress(part, packed, out var packedLength, quality: 11, window: 24))
            throw new InvalidOperationException($"Brotli could not pack {name}.");

        var path = Path.Combine(output, $"{name}.{first / perFile}.br");
        File.WriteAllBytes(path, packed[..packedLength]);
        Console.WriteLine($"{path}: {perFile} items, {packedLength:N0} bytes");
    }
}
