using System.Reflection;

namespace Estimators.Tests.Support;

/// <summary>Calls what ML.NET keeps to itself.</summary>
internal static class InternalCalls
{
    /// <summary>Calls the method with this name that takes these arguments.</summary>
    /// <returns>What it returns; the method itself where it returns nothing.</returns>
    public static object Call(this Type type, string name, object? target, object?[] arguments, params Type[] genericArguments)
    {
        const BindingFlags Any = BindingFlags.Instance | BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic;
        var method = type.GetMethods(Any)
            .Where(m =>
                m.Name == name
                && m.IsStatic == target is null
                && m.GetGenericArguments().Length == genericArguments.Length
                && m.GetParameters().Length == arguments.Length)
            .Select(m => genericArguments.Length == 0 ? m : m.MakeGenericMethod(genericArguments))
            .First(m =>
                m.GetParameters()
                    .Zip(arguments)
                    .All(p => p.First.IsOut || p.Second is null || p.First.ParameterType.IsInstanceOfType(p.Second)));
        return method.Invoke(target, arguments) ?? method;
    }
}
