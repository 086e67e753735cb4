using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace Microsoft.ML.MoE.Tests.Shared;

/// <summary>What of an assembly's public members F# or Visual Basic cannot use, or nobody can read.</summary>
internal static class PublicSurface
{
    private const int MostParameters = 7;
    private const BindingFlags Declared =
        BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    /// <summary>The members of public types that cannot be used from every language, each with the reason.</summary>
    public static IReadOnlyList<string> UnusableInSomeLanguage(IEnumerable<Type> types) =>
    [
        .. types.SelectMany(type => WrongWith(type).Concat(Members(type).SelectMany(member =>
            WrongWith(member).Select(reason => $"{type.FullName}.{member.Name}: {reason}")))),
    ];

    /// <summary>
    /// The methods and constructors of public types with more than seven parameters. What takes a record apart does not count.
    /// </summary>
    public static IReadOnlyList<string> LongParameterLists(IEnumerable<Type> types) =>
    [
        .. types
            .SelectMany(Members)
            .OfType<MethodBase>()
            .Where(method => method.Name != "Deconstruct" && method.GetParameters().Length > MostParameters)
            .Select(method => $"{method.DeclaringType}.{method.Name}: {method.GetParameters().Length} parameters"),
    ];

    private static IEnumerable<MemberInfo> Members(Type type) =>
        type.GetMembers(Declared).Where(member => member switch
        {
            MethodBase method => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly,
            FieldInfo field => field.IsPublic || field.IsFamily || field.IsFamilyOrAssembly,
            _ => member is PropertyInfo or EventInfo,
        });

    private static IEnumerable<string> WrongWith(Type type)
    {
        if (type.IsByRefLike)
            yield return $"{type.FullName}: a ref struct";
        var setsAll = type.GetConstructors().Any(constructor => constructor.IsDefined(typeof(SetsRequiredMembersAttribute)));
        if (type.IsDefined(typeof(RequiredMemberAttribute)) && !setsAll)
            yield return $"{type.FullName}: has required members, which Visual Basic cannot set, and no constructor that does";

        // Visual Basic tells no names apart by their case.
        var ordered = Members(type).Where(Visible).Select(member => member.Name).Distinct().Order(StringComparer.Ordinal);
        foreach (var names in ordered.GroupBy(name => name.ToUpperInvariant()))
        {
            if (names.Count() > 1)
                yield return $"{type.FullName}: {string.Join(" and ", names)} differ only in case";
        }
    }

    private static bool Visible(MemberInfo member) => member is not PropertyInfo property || property.GetAccessors().Length > 0;

    private static IEnumerable<string> WrongWith(MemberInfo member) => member switch
    {
        MethodInfo method => method.GetParameters().SelectMany(WrongWith).Concat(WrongWithResult(method)),
        ConstructorInfo constructor => constructor.GetParameters().SelectMany(WrongWith),
        FieldInfo field => WrongWith(field.FieldType, field.Name),
        _ => [],   // the accessors of properties and events are methods
    };

    private static IEnumerable<string> WrongWith(ParameterInfo parameter)
    {
        if (parameter.IsDefined(typeof(ParamCollectionAttribute)))
            yield return $"{parameter.Name} takes any number of arguments, but not as an array";
        if (parameter.ParameterType.IsByRef && !parameter.IsOut)
            yield return $"{parameter.Name} is handed over by reference";
        foreach (var reason in WrongWith(parameter.ParameterType, parameter.Name!))
            yield return reason;
    }

    private static IEnumerable<string> WrongWithResult(MethodInfo method) =>
        method.ReturnType.IsByRef ? ["returns a reference"] : WrongWith(method.ReturnType, "the result");

    private static IEnumerable<string> WrongWith(Type type, string name)
    {
        var inner = type.HasElementType ? type.GetElementType()! : type;
        if (type.IsPointer || inner.IsPointer || inner.IsFunctionPointer)
            yield return $"{name} is a pointer";
        if (inner.IsByRefLike)
            yield return $"{name} is a {inner.Name}, a ref struct";
        foreach (var reason in inner.GetGenericArguments().SelectMany(argument => WrongWith(argument, name)))
            yield return reason;
    }
}
