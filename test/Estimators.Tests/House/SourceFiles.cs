using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;

namespace Estimators.Tests.House;

/// <summary>Which source file an outer type is from, by the portable symbols beside its assembly.</summary>
internal static class SourceFiles
{
    // Where a type has no method: TypeDefinitionDocuments of the format of portable symbols.
    private static readonly Guid TypeDocuments = new("932E74BC-DBA9-4478-8D46-0F32A7BAB3D3");

    /// <summary>Reads the symbols of an assembly.</summary>
    /// <returns>Full names of outer types with the files that they are from; a partial type has one of its files.</returns>
    public static IReadOnlyDictionary<string, string> Of(Assembly assembly)
    {
        using var symbols = MetadataReaderProvider.FromPortablePdbStream(File.OpenRead(Path.ChangeExtension(assembly.Location, ".pdb")));
        var reader = symbols.GetMetadataReader();
        var files = new Dictionary<string, string>();
        foreach (var type in assembly.GetTypes().Where(type => type.DeclaringType is null))
        {
            if (Find(reader, type) is { } document)
                files.Add(type.FullName!, reader.GetString(reader.GetDocument(document).Name));
        }

        return files;
    }

    private static DocumentHandle? Find(MetadataReader reader, Type type)
    {
        foreach (var one in reader.GetCustomDebugInformation(MetadataTokens.EntityHandle(type.MetadataToken)))
        {
            var information = reader.GetCustomDebugInformation(one);
            if (reader.GetGuid(information.Kind) == TypeDocuments)
                return MetadataTokens.DocumentHandle(reader.GetBlobReader(information.Value).ReadCompressedInteger());
        }

        const BindingFlags All =
            BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        return type.GetMethods(All)
            .Concat<MethodBase>(type.GetConstructors(All))
            .Select(method =>
                reader.GetMethodDebugInformation(MetadataTokens.MethodDefinitionHandle(method.MetadataToken & 0xFFFFFF)).Document)
            .Where(document => !document.IsNil)
            .Cast<DocumentHandle?>()
            .FirstOrDefault();
    }
}
