using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Microsoft.ML.MoE.Tests.Shared;

/// <summary>How long the parameter lists are in what an assembly was compiled from.</summary>
internal static class ParameterLists
{
    /// <summary>
    /// The methods, constructors and delegates with more parameters than so many, as <c>Type.Method (COUNT)</c>, in order.
    /// </summary>
    /// <param name="assembly">The assembly.</param>
    /// <param name="limit">The number.</param>
    /// <param name="space">What the namespaces start with.</param>
    public static IReadOnlyList<string> LongerThan(int limit, Assembly assembly, string space)
    {
        using var file = new PEReader(File.OpenRead(assembly.Location));
        var reader = file.GetMetadataReader();
        return
        [
            .. from handle in reader.MethodDefinitions
            let method = reader.GetMethodDefinition(handle)
            let type = FullName(reader, method.GetDeclaringType())
            let name = reader.GetString(method.Name)
            where type.StartsWith(space, StringComparison.Ordinal) && !IsMade(reader, method, type, name)
            let count = Count(reader, method)
            where count > limit
            let line = $"{type}.{name} ({count})"
            orderby line
            select line];
    }

    // By the compiler: a record's Deconstruct repeats its constructor, a delegate's BeginInvoke its Invoke. Of a local function the body
    // alone is, its list was written by somebody.
    private static bool IsMade(MetadataReader reader, MethodDefinition method, string type, string name) =>
        name is "Deconstruct" or "BeginInvoke" or "EndInvoke"
        || (type.Contains('<', StringComparison.Ordinal) && !name.Contains('<', StringComparison.Ordinal));

    // The variables that a local function takes from around it are handed to it in structs, by reference.
    private static int Count(MetadataReader reader, MethodDefinition method) => method.GetParameters()
        .Select(reader.GetParameter)
        .Count(parameter => parameter.SequenceNumber > 0 && !IsMade(reader.GetString(parameter.Name)));

    private static bool IsMade(string parameter) => parameter.Length == 0 || parameter.Contains('<', StringComparison.Ordinal);

    private static string FullName(MetadataReader reader, TypeDefinitionHandle handle)
    {
        var type = reader.GetTypeDefinition(handle);
        var name = reader.GetString(type.Name);
        return type.IsNested ? $"{FullName(reader, type.GetDeclaringType())}.{name}" : $"{reader.GetString(type.Namespace)}.{name}";
    }
}
