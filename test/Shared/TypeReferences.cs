using System.Collections.Immutable;
using System.Reflection;
using System.Reflection.Emit;
using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Reflection.PortableExecutable;

namespace Microsoft.ML.MoE.Tests.Shared;

/// <summary>
/// Which types of an assembly refer to which others of it: in signatures, fields, attributes and the bodies of methods. What the
/// compiler makes for lambdas and iterators counts as its outer type.
/// </summary>
internal sealed class TypeReferences
{
    private static readonly Dictionary<short, OperandType> Operands = typeof(OpCodes)
        .GetFields(BindingFlags.Public | BindingFlags.Static)
        .Select(field => (OpCode)field.GetValue(null)!)
        .ToDictionary(code => code.Value, code => code.OperandType);

    private readonly PEReader file;
    private readonly MetadataReader reader;
    private readonly Collector collector;

    private TypeReferences(PEReader file)
    {
        (this.file, reader) = (file, file.GetMetadataReader());
        collector = new Collector();
    }

    /// <summary>Reads an assembly.</summary>
    /// <returns>Full names of outer types, with those of the outer types that they refer to.</returns>
    public static IReadOnlyDictionary<string, IReadOnlySet<string>> Of(Assembly assembly)
    {
        using var file = new PEReader(File.OpenRead(assembly.Location));
        return new TypeReferences(file).Read();
    }

    private Dictionary<string, IReadOnlySet<string>> Read()
    {
        var found = new Dictionary<string, IReadOnlySet<string>>();
        foreach (var handle in reader.TypeDefinitions)
        {
            var (type, outer) = (reader.GetTypeDefinition(handle), Outer(handle));
            collector.Types.Clear();
            Add(type.BaseType);
            Add(type.GetCustomAttributes());
            Add(type.GetGenericParameters());
            foreach (var one in type.GetInterfaceImplementations())
                Add(reader.GetInterfaceImplementation(one).Interface);
            foreach (var one in type.GetFields())
            {
                var field = reader.GetFieldDefinition(one);
                _ = field.DecodeSignature(collector, null);
                Add(field.GetCustomAttributes());
            }

            foreach (var one in type.GetProperties())
                Add(reader.GetPropertyDefinition(one).GetCustomAttributes());
            foreach (var one in type.GetMethods())
                Add(reader.GetMethodDefinition(one));

            var references = collector.Types.Select(Outer).Where(name => name != outer);
            found[outer] = found.TryGetValue(outer, out var before) ? before.Union(references).ToHashSet() : references.ToHashSet();
        }

        return found;
    }

    private string Outer(TypeDefinitionHandle handle)
    {
        var type = reader.GetTypeDefinition(handle);
        while (type.IsNested)
            type = reader.GetTypeDefinition(type.GetDeclaringType());
        var space = reader.GetString(type.Namespace);
        return space.Length == 0 ? reader.GetString(type.Name) : $"{space}.{reader.GetString(type.Name)}";
    }

    private void Add(MethodDefinition method)
    {
        _ = method.DecodeSignature(collector, null);
        Add(method.GetCustomAttributes());
        Add(method.GetGenericParameters());
        if (method.RelativeVirtualAddress == 0)
            return;
        var body = file.GetMethodBody(method.RelativeVirtualAddress);
        if (!body.LocalSignature.IsNil)
            _ = reader.GetStandaloneSignature(body.LocalSignature).DecodeLocalSignature(collector, null);
        foreach (var region in body.ExceptionRegions)
            Add(region.CatchType);
        AddOperands(body.GetILReader());
    }

    private void AddOperands(BlobReader code)
    {
        while (code.RemainingBytes > 0)
        {
            var value = (short)code.ReadByte();
            if (value == 0xFE)   // the first of two bytes
                value = (short)(0xFE00 | code.ReadByte());
            switch (Operands[value])
            {
                case OperandType.InlineField or OperandType.InlineMethod or OperandType.InlineTok or OperandType.InlineType:
                    Add(MetadataTokens.EntityHandle(code.ReadInt32()));
                    break;
                case OperandType.InlineSwitch:
                    var cases = code.ReadInt32();
                    code.Offset += 4 * cases;
                    break;
                case OperandType.InlineNone:
                    break;
                case OperandType.ShortInlineBrTarget or OperandType.ShortInlineI or OperandType.ShortInlineVar:
                    code.Offset++;
                    break;
                case OperandType.InlineVar:
                    code.Offset += 2;
                    break;
                case OperandType.InlineI8 or OperandType.InlineR:
                    code.Offset += 8;
                    break;
                default:
                    code.Offset += 4;
                    break;
            }
        }
    }

    private void Add(EntityHandle handle)
    {
        if (handle.IsNil)
            return;
        switch (handle.Kind)
        {
            case HandleKind.TypeDefinition:
                _ = collector.Types.Add((TypeDefinitionHandle)handle);
                break;
            case HandleKind.TypeSpecification:
                _ = reader.GetTypeSpecification((TypeSpecificationHandle)handle).DecodeSignature(collector, null);
                break;
            case HandleKind.MethodDefinition:
                Add(reader.GetMethodDefinition((MethodDefinitionHandle)handle).GetDeclaringType());
                break;
            case HandleKind.FieldDefinition:
                Add(reader.GetFieldDefinition((FieldDefinitionHandle)handle).GetDeclaringType());
                break;
            case HandleKind.MemberReference:
                Add(reader.GetMemberReference((MemberReferenceHandle)handle).Parent);
                break;
            case HandleKind.MethodSpecification:
                var method = reader.GetMethodSpecification((MethodSpecificationHandle)handle);
                _ = method.DecodeSignature(collector, null);
                Add(method.Method);
                break;
            default:
                break;   // types of other assemblies
        }
    }

    private void Add(CustomAttributeHandleCollection attributes)
    {
        foreach (var attribute in attributes)
            Add(reader.GetCustomAttribute(attribute).Constructor);
    }

    private void Add(GenericParameterHandleCollection parameters)
    {
        foreach (var constraint in parameters.SelectMany(parameter => reader.GetGenericParameter(parameter).GetConstraints()))
            Add(reader.GetGenericParameterConstraint(constraint).Type);
    }

    /// <summary>Notes the types of this assembly that a signature names.</summary>
    private sealed class Collector : ISignatureTypeProvider<bool, object?>
    {
        public HashSet<TypeDefinitionHandle> Types { get; } = [];

        public bool GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte rawTypeKind) => Types.Add(handle);

        public bool GetTypeFromSpecification(
            MetadataReader reader,
            object? genericContext,
            TypeSpecificationHandle handle,
            byte rawTypeKind
        ) => reader.GetTypeSpecification(handle).DecodeSignature(this, genericContext);

        public bool GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte rawTypeKind) => false;

        public bool GetPrimitiveType(PrimitiveTypeCode typeCode) => false;

        public bool GetSZArrayType(bool elementType) => false;

        public bool GetArrayType(bool elementType, ArrayShape shape) => false;

        public bool GetByReferenceType(bool elementType) => false;

        public bool GetPointerType(bool elementType) => false;

        public bool GetPinnedType(bool elementType) => false;

        public bool GetGenericInstantiation(bool genericType, ImmutableArray<bool> typeArguments) => false;

        public bool GetGenericMethodParameter(object? genericContext, int index) => false;

        public bool GetGenericTypeParameter(object? genericContext, int index) => false;

        public bool GetModifiedType(bool modifier, bool unmodifiedType, bool isRequired) => false;

        public bool GetFunctionPointerType(MethodSignature<bool> signature) => false;
    }
}
