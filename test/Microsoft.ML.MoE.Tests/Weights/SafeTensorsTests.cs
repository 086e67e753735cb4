using System.Buffers.Binary;
using System.Text;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Weights;

[TestClass]
public sealed class SafeTensorsTests
{
    private const string SmallHeader =
        """{"__metadata__":{"k":"é"},"b":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"a":{"dtype":"BOOL","shape":[],"data_offsets":[8,9]}}""";

    // The same two tensors written by hand from the format's description.
    private static byte[] SmallFile()
    {
        var json = Encoding.UTF8.GetBytes(SmallHeader);
        var padded = (json.Length + 7) / 8 * 8;
        var file = new byte[8 + padded + 9];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)padded);
        file.AsSpan(8, padded).Fill((byte)' ');
        json.CopyTo(file, 8);
        byte[] data = [0x00, 0x00, 0x80, 0x3F, 0x00, 0x00, 0x00, 0xC0, 0x01];   // 1f, -2f, true
        data.CopyTo(file, 8 + padded);
        return file;
    }

    private static byte[] FileOf(string json, int dataBytes)
    {
        var header = Encoding.UTF8.GetBytes(json);
        var file = new byte[8 + header.Length + dataBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)header.Length);
        header.CopyTo(file, 8);
        return file;
    }

    private static SafeTensorsContents Read(byte[] file) => SafeTensors.Read(new MemoryStream(file), file.Length);

    private static byte[] Write(IReadOnlyDictionary<string, Tensor> tensors)
    {
        using var stream = new MemoryStream();
        SafeTensors.Write(stream, tensors);
        return stream.ToArray();
    }

    [TestMethod]
    public void Write_GivesTheBytesOfAFileWrittenByHand()
    {
        using var a = tensor(true);
        using var b = tensor(new[] { 1f, -2f }).view(2, 1);
        using var stream = new MemoryStream();
        SafeTensors.Write(
            new ForwardOnlyStream(stream),
            new Dictionary<string, Tensor> { ["a"] = a, ["b"] = b },
            new Dictionary<string, string> { ["k"] = "é" });

        CollectionAssert.AreEqual(SmallFile(), stream.ToArray());
    }

    [TestMethod]
    public void Read_GivesTheTensorsOfAFileWrittenByHand()
    {
        using var contents = Read(SmallFile());
        Assert.HasCount(2, contents.Tensors);
        CollectionAssert.AreEqual(new long[] { 2, 1 }, contents.Tensors["b"].shape);
        CollectionAssert.AreEqual(new[] { 1f, -2f }, contents.Tensors["b"].data<float>().ToArray());
        CollectionAssert.AreEqual(Array.Empty<long>(), contents.Tensors["a"].shape);
        Assert.IsTrue(contents.Tensors["a"].item<bool>());
        Assert.AreEqual("é", contents.Metadata["k"]);
    }

    [TestMethod]
    [DataRow(ScalarType.Float64)]
    [DataRow(ScalarType.Float32)]
    [DataRow(ScalarType.Float16)]
    [DataRow(ScalarType.BFloat16)]
    [DataRow(ScalarType.Int64)]
    [DataRow(ScalarType.Int32)]
    [DataRow(ScalarType.Int16)]
    [DataRow(ScalarType.Int8)]
    [DataRow(ScalarType.Byte)]
    [DataRow(ScalarType.Bool)]
    public void EveryElementType_ComesBackEqual(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(7);
        var values = (rand([5, 3, 4], generator: generator) * 200).to(type);
        var tensors = new Dictionary<string, Tensor>
        {
            ["dense"] = values,
            ["transposed"] = values.transpose(0, 2),
            ["slice"] = values[1, TensorIndex.Ellipsis],
            ["scalar"] = values[0, 0, 0],
            ["empty"] = zeros(0, 3, dtype: type),
        };
        var file = Write(tensors);

        using var contents = SafeTensors.Read(new ForwardOnlyStream(new MemoryStream(file)), file.Length);
        Assert.HasCount(tensors.Count, contents.Tensors);
        foreach (var (name, expected) in tensors)
        {
            var actual = contents.Tensors[name];
            Assert.AreEqual(type, actual.dtype, name);
            CollectionAssert.AreEqual(expected.shape, actual.shape, name);
            Assert.IsTrue(actual.equal(expected).all().item<bool>(), name);
        }
    }

    [TestMethod]
    public void Write_PutsWideTypesFirst_SoThatEveryTensorIsAligned()
    {
        using var scope = NewDisposeScope();
        var tensors = new Dictionary<string, Tensor>
        {
            ["a"] = zeros(3, dtype: ScalarType.Bool),
            ["b"] = zeros(3, dtype: ScalarType.BFloat16),
            ["c"] = zeros(3, dtype: ScalarType.Float32),
            ["d"] = zeros(3, dtype: ScalarType.Int64),
        };
        var file = Write(tensors);
        var json = Encoding.UTF8.GetString(file, 8, (int)BinaryPrimitives.ReadUInt64LittleEndian(file));

        Assert.AreEqual(0, json.Length % 8);
        StringAssert.Contains(json, """
            {"d":{"dtype":"I64","shape":[3],"data_offsets":[0,24]},"c":{"dtype":"F32","shape":[3],"data_offsets":[24,36]},"b":{"dtype":"BF16","shape":[3],"data_offsets":[36,42]},"a":{"dtype":"BOOL","shape":[3],"data_offsets":[42,45]}}
            """.Trim());
    }

    [TestMethod]
    public void TensorsOfManyPieces_ComeBackEqual()
    {
        using var scope = NewDisposeScope();
        var values = arange(3_000_001, dtype: ScalarType.Int32);   // 12 MB and a bit: three pieces, the last of odd length
        var file = Write(new Dictionary<string, Tensor> { ["x"] = values });

        using var contents = Read(file);
        Assert.IsTrue(contents.Tensors["x"].equal(values).all().item<bool>());
    }

    [TestMethod]
    [RequiresMemory(8)]
    public void TensorsAboveTwoGigabytes_ComeBackEqual()
    {
        const long Length = (1L << 31) + 12_345;
        using var sink = new PatternStream();
        using (var values = zeros(Length, dtype: ScalarType.Byte))
        {
            values[Length - 1] = 42;
            SafeTensors.Write(sink, new Dictionary<string, Tensor> { ["x"] = values });
        }

        sink.Rewind();
        using var contents = SafeTensors.Read(sink, sink.FileLength);
        Assert.AreEqual(Length, contents.Tensors["x"].numel());
        Assert.AreEqual(42, contents.Tensors["x"][Length - 1].item<byte>());
        Assert.AreEqual(0, contents.Tensors["x"][Length - 2].item<byte>());
    }

    [TestMethod]
    public void Read_LeavesTheStreamAfterTheFile()
    {
        var file = SmallFile();
        using var stream = new MemoryStream([.. file, 0xAB]);
        using var contents = SafeTensors.Read(stream, file.Length);
        Assert.AreEqual(0xAB, stream.ReadByte());
    }

    [TestMethod]
    public void Read_OfAFileCutAtAnyByte_ThrowsInvalidData()
    {
        var file = SmallFile();
        for (var length = 0; length < file.Length; length++)
        {
            var cut = file[..length];
            Assert.ThrowsExactly<InvalidDataException>(() => Read(cut), $"cut at {length}, length known");
            Assert.ThrowsExactly<InvalidDataException>(
                () => SafeTensors.Read(new MemoryStream(cut), file.Length), $"cut at {length}, length of the whole");
            Assert.ThrowsExactly<InvalidDataException>(
                () => SafeTensors.Read(new ForwardOnlyStream(new MemoryStream(cut)), file.Length), $"cut at {length}, not seekable");
        }
    }

    [TestMethod]
    public void Read_OfAFileWithAnyByteAltered_GivesTheSameShapesOrThrowsInvalidData()
    {
        var file = SmallFile();
        var random = new Random(11);
        for (var i = 0; i < file.Length; i++)
        {
            int[] masks = [.. Enumerable.Range(0, 8).Select(bit => 1 << bit), 0xFF, random.Next(1, 256)];
            foreach (var mask in masks)
            {
                var altered = file.ToArray();
                altered[i] ^= (byte)mask;
                try
                {
                    using var contents = Read(altered);
                    CollectionAssert.AreEquivalent(
                        new[] { "F32 2,1", "BOOL " }, contents.Tensors.Values.Select(Describe).ToArray(), $"byte {i} ^ {mask}");
                }
                catch (InvalidDataException)
                {
                    continue;
                }
            }
        }

        static string Describe(Tensor t) =>
            $"{(t.dtype == ScalarType.Float32 ? "F32" : t.dtype == ScalarType.Bool ? "BOOL" : t.dtype)} {string.Join(',', t.shape)}";
    }

    [TestMethod]
    public void Read_OfRandomBytes_ThrowsInvalidData()
    {
        var random = new Random(12);
        for (var i = 0; i < 2000; i++)
        {
            var file = new byte[random.Next(64)];
            random.NextBytes(file);
            if (file.Length >= 10 && i % 2 == 0)   // let half of them past the length field
            {
                BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)(file.Length - 8));
                file[8] = (byte)'{';
            }

            Assert.ThrowsExactly<InvalidDataException>(() => Read(file), $"file {i}");
        }
    }

    [TestMethod]
    [DataRow("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 9, "holds 9 bytes of data; its tensors account for 8")]
    [DataRow("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 7, "'x': its data end at 8, the file's at 7")]
    [DataRow("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}""", 9, "'x': its data begin at 1; the tensor before it ends at 0")]
    [DataRow(
        """{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}""",
        3,
        "'y': its data begin at 1"
    )]
    [DataRow("""{"x":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "'x': F32[3] takes 12 bytes, its data_offsets [0, 8] hold 8")]
    [DataRow(
        """{"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}""",
        0,
        "'x': its shape F32[4611686018427387904, 4] has more elements than can be counted"
    )]
    [DataRow("""{"x":{"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0]}}""", 0, "more elements than can be counted")]
    [DataRow(
        """{"x":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}""",
        4,
        "'x': its data end at 4398046511104, the file's at 4"
    )]
    [DataRow("""{"x":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8, "'x': its shape holds something that is not a whole number")]
    [DataRow(
        """{"x":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}""", 8, "'x': its shape holds something that is not a whole number")]
    [DataRow("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "'x': its data_offsets [8, 0] are not a begin and an end")]
    [DataRow("""{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8,9]}}""", 8, "'x': its data_offsets has more than 2 numbers")]
    [DataRow("""{"x":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}""", 2, "'x': its dtype is 'F8_E4M3'; it can be I64, F64")]
    [DataRow("""{"x":{"dtype":7,"shape":[2],"data_offsets":[0,2]}}""", 2, "'x': its dtype is ''")]
    [DataRow("""{"x":{"dtype":"U8","shape":[2]}}""", 2, "'x': its description lacks data_offsets")]
    [DataRow("""{"x":{"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", 2, "'x': its description has 'dtype' twice")]
    [DataRow(
        """{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""",
        2,
        "has tensor 'x' twice"
    )]
    [DataRow("""{"x":[]}""", 0, "'x': its description is not an object")]
    [DataRow("""{"__metadata__":{"a":1}}""", 0, "metadata 'a' is not a string")]
    [DataRow("""{"__metadata__":[]}""", 0, "is not an object")]
    [DataRow("""{} {}""", 0, "not valid JSON")]
    [DataRow("""{"\ud800":{}}""", 0, "not valid JSON")]
    [DataRow("""[]""", 0, "does not begin with '{'")]
    [DataRow("""{"x":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}""", 1, "not valid JSON")]
    public void Read_OfAWrongHeader_SaysWhatIsWrong(string json, int dataBytes, string message)
    {
        var error = Assert.ThrowsExactly<InvalidDataException>(() => Read(FileOf(json, dataBytes)));
        StringAssert.Contains(error.Message, message);
    }

    [TestMethod]
    public void Read_OfAShapeOfTooManySizes_ThrowsInvalidData()
    {
        var json = $$$"""{"x":{"dtype":"U8","shape":[{{{string.Join(',', Enumerable.Repeat(1, 65))}}}],"data_offsets":[0,1]}}""";
        var error = Assert.ThrowsExactly<InvalidDataException>(() => Read(FileOf(json, 1)));
        StringAssert.Contains(error.Message, "'x': its shape has more than 64 numbers");
    }

    [TestMethod]
    public void Read_OfABoolThatIsNeither0Nor1_ThrowsInvalidData()
    {
        var file = SmallFile();
        file[^1] = 2;
        var error = Assert.ThrowsExactly<InvalidDataException>(() => Read(file));
        StringAssert.Contains(error.Message, "'a': it holds the byte 2 where a BOOL is 0 or 1");
    }

    [TestMethod]
    public void Read_OfAnEmptyFileOfTensors_GivesNone()
    {
        using var contents = Read(FileOf("{}  ", 0));
        Assert.IsEmpty(contents.Tensors);
        Assert.IsEmpty(contents.Metadata);
    }

    [TestMethod]
    public void Write_OfATensorThatTheFormatLacks_NamesItAndWritesNothing()
    {
        using var scope = NewDisposeScope();
        using var stream = new MemoryStream();
        var complex = zeros(2, dtype: ScalarType.ComplexFloat32);
        var disposed = zeros(2);
        disposed.Dispose();
        var meta = zeros(2, device: "meta");

        foreach (var (name, value, message) in new[]
        {
            ("c", complex, "'c' has element type ComplexFloat32"),
            ("d", disposed, "'d' is null or disposed"),
            ("m", meta, "'m' is on the meta device"),
            ("__metadata__", zeros(2), "cannot be named '__metadata__'"),
        })
        {
            var tensors = new Dictionary<string, Tensor> { ["a"] = zeros(1), [name] = value };
            var error = Assert.ThrowsExactly<ArgumentException>(() => SafeTensors.Write(stream, tensors));
            StringAssert.Contains(error.Message, message);
        }

        Assert.AreEqual(0, stream.Length);
    }

    /// <summary>
    /// Keeps the first and last bytes written and plays them back with zeros between: a file of some gigabytes in no memory.
    /// </summary>
    private sealed class PatternStream : Stream
    {
        private readonly byte[] head = new byte[4096];
        private long position;
        private byte last;

        public long FileLength { get; private set; }

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public void Rewind() => position = 0;

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

        public override int Read(Span<byte> buffer)
        {
            var count = (int)Math.Min(buffer.Length, FileLength - position);
            buffer = buffer[..count];
            buffer.Clear();
            if (position < head.Length)
                head.AsSpan((int)position, Math.Min(count, head.Length - (int)position)).CopyTo(buffer);
            position += count;
            if (position == FileLength && count > 0)
                buffer[^1] = last;
            return count;
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

        public override void Write(ReadOnlySpan<byte> buffer)
        {
            if (buffer.IsEmpty)
                return;
            if (position < head.Length)
                buffer[..Math.Min(buffer.Length, head.Length - (int)position)].CopyTo(head.AsSpan((int)position));
            position += buffer.Length;
            last = buffer[^1];
            FileLength = position;
        }
    }
}
