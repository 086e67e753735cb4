using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using Microsoft.Build.Framework;
using Microsoft.Build.Utilities;

/// <summary>
/// MSBuild task: copies assemblies and makes what is internal in them public, so that the compiler lets us use it. See eng/README.md.
/// MSBuild compiles this file against .NET Standard alone, so it walks the metadata tables by hand (ECMA-335, part II, sections 22 to 25).
/// </summary>
public sealed class Publicize : Task
{
    /// <summary>The assemblies to copy.</summary>
    [Required]
    public ITaskItem[] Assemblies { get; set; }

    /// <summary>The folder that receives the copies, under the same file names.</summary>
    [Required]
    public string OutputFolder { get; set; }

    public override bool Execute()
    {
        Directory.CreateDirectory(OutputFolder);
        foreach (var assembly in Assemblies)
        {
            var destination = Path.Combine(OutputFolder, Path.GetFileName(assembly.ItemSpec));
            try
            {
                var image = File.ReadAllBytes(assembly.ItemSpec);
                new MetadataTables(image).MakeInternalsPublic();

                // Another build of the same project may run at the same time: it must never see half a file.
                var partial = destination + "." + Guid.NewGuid().ToString("N");
                File.WriteAllBytes(partial, image);
                if (File.Exists(destination))
                    File.Delete(destination);
                File.Move(partial, destination);
            }
            catch (Exception exception)
                when (exception is IOException || exception is InvalidDataException || exception is UnauthorizedAccessException)
            {
                Log.LogError("Cannot make a public copy of '{0}' at '{1}': {2}", assembly.ItemSpec, destination, exception.Message);
            }
        }

        return !Log.HasLoggedErrors;
    }
}

/// <summary>The metadata tables of one assembly image, of which only the accessibility bits are ever changed.</summary>
internal sealed class MetadataTables
{
    private const int Module = 0x00, TypeRef = 0x01, TypeDef = 0x02, FieldPtr = 0x03, Field = 0x04, MethodPtr = 0x05, MethodDef = 0x06;
    private const int Param = 0x08, ModuleRef = 0x1A, TypeSpec = 0x1B, AssemblyRef = 0x23;

    private readonly byte[] image;
    private readonly int[] rowCounts = new int[64];
    private readonly int stringHeap;
    private readonly int stringIndexSize;
    private readonly int[] tableStarts = new int[MethodDef + 1];
    private readonly int[] rowSizes = new int[MethodDef + 1];

    public MetadataTables(byte[] image)
    {
        this.image = image;

        var metadata = FindMetadata();
        var streams = FindStreams(metadata);
        stringHeap = streams["#Strings"];
        var header = streams["#~"];

        var heapSizes = image[header + 6];
        stringIndexSize = (heapSizes & 1) != 0 ? 4 : 2;
        var guidIndexSize = (heapSizes & 2) != 0 ? 4 : 2;
        var blobIndexSize = (heapSizes & 4) != 0 ? 4 : 2;

        var present = BitConverter.ToUInt64(image, header + 8);
        var position = header + 24;
        for (var table = 0; table < 64; table++)
        {
            if ((present >> table & 1) == 0)
                continue;
            rowCounts[table] = BitConverter.ToInt32(image, position);
            position += 4;
        }

        rowSizes[Module] = 2 + stringIndexSize + 3 * guidIndexSize;
        rowSizes[TypeRef] = CodedIndexSize(2, Module, ModuleRef, AssemblyRef, TypeRef) + 2 * stringIndexSize;
        rowSizes[TypeDef] =
            4
            + 2 * stringIndexSize
            + CodedIndexSize(2, TypeDef, TypeRef, TypeSpec)
            + CodedIndexSize(0, Field)
            + CodedIndexSize(0, MethodDef);
        rowSizes[FieldPtr] = CodedIndexSize(0, Field);
        rowSizes[Field] = 2 + stringIndexSize + blobIndexSize;
        rowSizes[MethodPtr] = CodedIndexSize(0, MethodDef);
        rowSizes[MethodDef] = 4 + 2 + 2 + stringIndexSize + blobIndexSize + CodedIndexSize(0, Param);

        for (var table = 0; table <= MethodDef; table++)
        {
            tableStarts[table] = position;
            position += rowCounts[table] * rowSizes[table];
        }
    }

    public void MakeInternalsPublic()
    {
        for (var row = 0; row < rowCounts[TypeDef]; row++)
        {
            var start = tableStarts[TypeDef] + row * rowSizes[TypeDef];
            if (!IsCompilerSupport(ReadString(start + 4), ReadString(start + 4 + stringIndexSize)))
                image[start] = (byte)(image[start] & ~0x7 | PublicType(image[start] & 0x7));
        }

        for (var row = 0; row < rowCounts[Field]; row++)
            MakeMemberPublic(tableStarts[Field] + row * rowSizes[Field]);

        for (var row = 0; row < rowCounts[MethodDef]; row++)
            MakeMemberPublic(tableStarts[MethodDef] + row * rowSizes[MethodDef] + 6);
    }

    /// <summary>Types that compilers write into every assembly: two public ones of the same name would clash.</summary>
    private static bool IsCompilerSupport(string name, string @namespace) =>
        name.StartsWith("<", StringComparison.Ordinal)
        || @namespace == "System" || @namespace.StartsWith("System.", StringComparison.Ordinal)
        || @namespace.StartsWith("Microsoft.CodeAnalysis", StringComparison.Ordinal);

    private static int PublicType(int visibility)
    {
        switch (visibility)
        {
            case 0: return 1;   // internal → public
            case 5: return 2;   // nested internal → nested public
            case 6: return 4;   // nested private protected → nested protected
            default: return visibility;
        }
    }

    private void MakeMemberPublic(int flags)
    {
        switch (image[flags] & 0x7)
        {
            case 2: image[flags] = (byte)(image[flags] & ~0x7 | 4); break;   // private protected → protected
            case 3: image[flags] = (byte)(image[flags] & ~0x7 | 6); break;   // internal → public
        }
    }

    private int CodedIndexSize(int tagBits, params int[] tables)
    {
        foreach (var table in tables)
        {
            if (rowCounts[table] >= 1 << (16 - tagBits))
                return 4;
        }

        return 2;
    }

    private string ReadString(int position)
    {
        var start = stringHeap + (stringIndexSize == 4 ? BitConverter.ToInt32(image, position) : BitConverter.ToUInt16(image, position));
        return Encoding.UTF8.GetString(image, start, Array.IndexOf(image, (byte)0, start) - start);
    }

    private int FindMetadata()
    {
        var pe = BitConverter.ToInt32(image, 0x3C);
        if (BitConverter.ToUInt32(image, pe) != 0x00004550)
            throw new InvalidDataException("it is not a PE file.");

        var sectionCount = BitConverter.ToUInt16(image, pe + 6);
        var optionalHeader = pe + 24;
        var sections = optionalHeader + BitConverter.ToUInt16(image, pe + 20);
        var directories = optionalHeader + (BitConverter.ToUInt16(image, optionalHeader) == 0x20B ? 112 : 96);

        var cli = Offset(BitConverter.ToUInt32(image, directories + 14 * 8));
        var metadata = Offset(BitConverter.ToUInt32(image, cli + 8));
        if (BitConverter.ToUInt32(image, metadata) != 0x424A5342)
            throw new InvalidDataException("it holds no .NET metadata.");
        return metadata;

        int Offset(uint address)
        {
            for (var section = 0; section < sectionCount; section++)
            {
                var header = sections + section * 40;
                var start = BitConverter.ToUInt32(image, header + 12);
                if (address >= start && address - start < BitConverter.ToUInt32(image, header + 16))
                    return (int)(address - start + BitConverter.ToUInt32(image, header + 20));
            }

            throw new InvalidDataException("it is not a .NET assembly.");
        }
    }

    private Dictionary<string, int> FindStreams(int metadata)
    {
        var streams = new Dictionary<string, int>();
        var position = metadata + 16 + BitConverter.ToInt32(image, metadata + 12);
        var count = BitConverter.ToUInt16(image, position + 2);
        position += 4;
        for (var stream = 0; stream < count; stream++)
        {
            var nameEnd = Array.IndexOf(image, (byte)0, position + 8);
            var name = Encoding.ASCII.GetString(image, position + 8, nameEnd - position - 8);
            streams[name] = metadata + BitConverter.ToInt32(image, position);
            position += 8 + (name.Length + 4 & ~3);
        }

        return streams;
    }
}
