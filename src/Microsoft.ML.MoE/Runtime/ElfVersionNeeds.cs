// The symbol versions that an ELF shared library asks of the libraries it links to, and the edit that makes one of them optional.
//
// Everything is found the way the dynamic loader finds it: through the dynamic segment, never through section headers, which a library may
// lack. Layouts: System V gABI chapters 4 and 5; symbol versions: Linux Standard Base Core 5.0, "Symbol Versioning".

using System.Buffers.Binary;
using System.Text;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>One version that a library needs from another, such as <c>GLIBCXX_3.4.32</c> from <c>libstdc++.so.6</c>.</summary>
/// <param name="Library">The soname of the library that must define the version.</param>
/// <param name="Version">The version's name.</param>
/// <param name="Index">The number by which the symbol table refers to the version.</param>
/// <param name="FlagsOffset">Where the entry's 16-bit <c>vna_flags</c> lies in the file, in bytes.</param>
/// <param name="IsWeak">Whether the loader accepts that the version is missing.</param>
internal readonly record struct VersionNeed(string Library, string Version, ushort Index, int FlagsOffset, bool IsWeak);

/// <summary>The version needs of one 64-bit x86-64 ELF shared library.</summary>
internal sealed class ElfVersionNeeds
{
    private const ushort WeakFlag = 0x2; // VER_FLG_WEAK

    private readonly byte[] image;
    private readonly Dictionary<ushort, string> relocatedSymbolByVersion;

    private ElfVersionNeeds(byte[] image, IReadOnlyList<VersionNeed> needs, Dictionary<ushort, string> relocatedSymbolByVersion)
    {
        this.image = image;
        Needs = needs;
        this.relocatedSymbolByVersion = relocatedSymbolByVersion;
    }

    /// <summary>Every version that the library needs, in file order.</summary>
    public IReadOnlyList<VersionNeed> Needs { get; }

    /// <summary>Reads the version needs of a library.</summary>
    /// <param name="image">The whole file.</param>
    /// <exception cref="InvalidDataException">The bytes are not a complete x86-64 ELF shared library.</exception>
    public static ElfVersionNeeds Parse(byte[] image)
    {
        var reader = new Reader(image);
        var dynamic = reader.ReadDynamicSegment();
        var strings = (
            Start: reader.FileOffset(dynamic.Require(DynamicTag.StringTable)), Size: dynamic.Require(DynamicTag.StringTableSize));
        return new ElfVersionNeeds(image, ReadNeeds(reader, dynamic, strings), ReadRelocatedVersions(reader, dynamic, strings));
    }

    /// <summary>
    /// A copy of the library that loads where <paramref name="version"/> is missing. Safe only because no relocation refers to a symbol of
    /// that version, so the loader never looks one up; refused otherwise.
    /// </summary>
    /// <param name="version">The version's name.</param>
    /// <exception cref="InvalidOperationException">The library does not need the version, or a relocation does.</exception>
    public byte[] Weaken(string version)
    {
        var entries = Needs.Where(need => need.Version == version).ToArray();
        if (entries.Length == 0)
            throw new InvalidOperationException($"The library does not need the symbol version {version}.");

        var copy = (byte[])image.Clone();
        foreach (var entry in entries)
        {
            if (relocatedSymbolByVersion.TryGetValue(entry.Index, out var symbol))
                throw new InvalidOperationException(
                    $"The library cannot do without {version} of {entry.Library}: it uses its symbol {symbol}.");

            var flags = copy.AsSpan(entry.FlagsOffset, sizeof(ushort));
            BinaryPrimitives.WriteUInt16LittleEndian(flags, (ushort)(BinaryPrimitives.ReadUInt16LittleEndian(flags) | WeakFlag));
        }

        return copy;
    }

    private static List<VersionNeed> ReadNeeds(Reader reader, DynamicSegment dynamic, (ulong Start, ulong Size) strings)
    {
        var needs = new List<VersionNeed>();
        if (dynamic.Find(DynamicTag.VersionNeed) is not { } address)
            return needs;

        var library = reader.FileOffset(address);
        for (var left = dynamic.Require(DynamicTag.VersionNeedCount); left > 0; left--)
        {
            var name = reader.ReadString(strings, reader.UInt32(library + 4));
            var entry = library + reader.UInt32(library + 8);
            for (var entries = reader.UInt16(library + 2); entries > 0; entries--)
            {
                var flags = reader.UInt16(entry + 4);
                needs.Add(new(
                    name, reader.ReadString(strings, reader.UInt32(entry + 8)), (ushort)(reader.UInt16(entry + 6) & VersionIndexMask),
                    (int)(entry + 4), (flags & WeakFlag) != 0));
                if (needs.Count > VersionIndexMask)
                    throw new InvalidDataException($"The file lists more than the {VersionIndexMask} versions that its symbols can name.");
                entry += Next(reader, entry + 12, entries);
            }

            library += Next(reader, library + 12, left);
        }

        return needs;
    }

    private static ulong Next(Reader reader, ulong field, ulong left) => (reader.UInt32(field), left) switch
    {
        (0, > 1) => throw new InvalidDataException($"A list of versions ends {left - 1} entries before its count."),
        (var distance, _) => distance,
    };

    // Bit 15 of a version index marks a hidden symbol.
    private const ushort VersionIndexMask = 0x7fff;

    private static Dictionary<ushort, string> ReadRelocatedVersions(
        Reader reader, DynamicSegment dynamic, (ulong Start, ulong Size) strings)
    {
        const ulong relaSize = 24, symbolSize = 24;
        if (dynamic.Find(DynamicTag.Rel) is not null || dynamic.Find(DynamicTag.PltRelocationKind) is not (null or (ulong)DynamicTag.Rela))
            throw new InvalidDataException("The file has relocations of the kind REL, which x86-64 libraries do not have.");

        var found = new Dictionary<ushort, string>();
        if (dynamic.Find(DynamicTag.VersionSymbols) is not { } versionsAddress)
            return found;

        var versions = reader.FileOffset(versionsAddress);
        var symbols = reader.FileOffset(dynamic.Require(DynamicTag.SymbolTable));
        var tables = new[]
        {
            (DynamicTag.Rela, DynamicTag.RelaSize),
            (DynamicTag.PltRelocations, DynamicTag.PltRelocationsSize),
        };
        foreach (var (table, size) in tables)
        {
            if (dynamic.Find(table) is not { } address)
                continue;

            var start = reader.FileOffset(address);
            // A table that ends beyond the file fails at the first entry that does.
            var end = start + Math.Min(dynamic.Require(size), reader.Length);
            for (var relocation = start; relocation + relaSize <= end; relocation += relaSize)
            {
                var symbol = reader.UInt64(relocation + 8) >> 32;
                if (symbol == 0) // relative to the load address: no symbol
                    continue;

                var version = (ushort)(reader.UInt16(versions + symbol * sizeof(ushort)) & VersionIndexMask);
                if (!found.ContainsKey(version))
                    found.Add(version, reader.ReadString(strings, reader.UInt32(symbols + symbol * symbolSize)));
            }
        }

        return found;
    }

    private enum DynamicTag : ulong
    {
        PltRelocationsSize = 2,
        StringTable = 5,
        SymbolTable = 6,
        Rela = 7,
        RelaSize = 8,
        StringTableSize = 10,
        Rel = 17,
        PltRelocationKind = 20,
        PltRelocations = 23,
        VersionSymbols = 0x6ffffff0,
        VersionNeed = 0x6ffffffe,
        VersionNeedCount = 0x6fffffff,
    }

    private sealed class DynamicSegment(Dictionary<ulong, ulong> values)
    {
        public ulong? Find(DynamicTag tag) => values.TryGetValue((ulong)tag, out var value) ? value : null;

        public ulong Require(DynamicTag tag) =>
            Find(tag) ?? throw new InvalidDataException($"The file's dynamic segment has no entry {tag} (0x{(ulong)tag:x}).");
    }

    /// <summary>Reads numbers and strings of the file; every read is checked against the file's end.</summary>
    private sealed class Reader
    {
        private readonly byte[] image;
        private readonly List<(ulong Offset, ulong Address, ulong Size)> segments = [];
        private readonly (ulong Offset, ulong Size) dynamic;

        public Reader(byte[] image)
        {
            this.image = image;
            if (!Bytes(0, 20).StartsWith<byte>([0x7f, (byte)'E', (byte)'L', (byte)'F', 2 /* 64-bit */, 1 /* little-endian */]))
                throw new InvalidDataException("The file is not a 64-bit little-endian ELF file.");

            var (kind, machine) = (UInt16(16), UInt16(18));
            if (kind != 3 || machine != 62)
                throw new InvalidDataException(
                    $"The file is not an x86-64 shared library: its type is {kind} and its machine {machine}, wanted 3 and 62.");

            var (table, entrySize, count) = (UInt64(32), UInt16(54), UInt16(56));
            for (ulong i = 0; i < count; i++)
            {
                var header = table + i * entrySize;
                var segment = (Offset: UInt64(header + 8), Address: UInt64(header + 16), Size: UInt64(header + 32));
                switch (UInt32(header))
                {
                    case 1: // PT_LOAD
                        segments.Add(segment);
                        break;
                    case 2: // PT_DYNAMIC
                        dynamic = (segment.Offset, segment.Size);
                        break;
                }
            }

            if (dynamic.Size == 0)
                throw new InvalidDataException("The file has no dynamic segment.");
        }

        public ulong Length => (ulong)image.Length;

        public DynamicSegment ReadDynamicSegment()
        {
            var values = new Dictionary<ulong, ulong>();
            for (ulong at = 0; at < dynamic.Size; at += 16)
            {
                var tag = UInt64(dynamic.Offset + at);
                if (tag == 0)
                    break;
                _ = values.TryAdd(tag, UInt64(dynamic.Offset + at + 8)); // NEEDED repeats; nothing that is read here does
            }

            return new DynamicSegment(values);
        }

        /// <summary>Where a virtual address lies in the file.</summary>
        public ulong FileOffset(ulong address)
        {
            foreach (var segment in segments)
            {
                if (address >= segment.Address && address - segment.Address < segment.Size)
                    return segment.Offset + (address - segment.Address);
            }

            throw new InvalidDataException($"The file does not hold the address 0x{address:x} that its dynamic segment names.");
        }

        public ushort UInt16(ulong offset) => BinaryPrimitives.ReadUInt16LittleEndian(Bytes(offset, 2));

        public uint UInt32(ulong offset) => BinaryPrimitives.ReadUInt32LittleEndian(Bytes(offset, 4));

        public ulong UInt64(ulong offset) => BinaryPrimitives.ReadUInt64LittleEndian(Bytes(offset, 8));

        public string ReadString((ulong Start, ulong Size) table, uint index)
        {
            if (index >= table.Size)
                throw new InvalidDataException($"The file names string {index} of a table of {table.Size} bytes.");

            var text = Bytes(table.Start + index, table.Size - index);
            var end = text.IndexOf((byte)0);
            return end >= 0 ? Encoding.UTF8.GetString(text[..end]) : throw new InvalidDataException("A string of the file has no end.");
        }

        private ReadOnlySpan<byte> Bytes(ulong offset, ulong count) =>
            offset <= Length && count <= Length - offset
                ? image.AsSpan((int)offset, (int)count)
                : throw new InvalidDataException($"The file ends at byte {Length}, before the {count} bytes at {offset} that it names.");
    }
}
