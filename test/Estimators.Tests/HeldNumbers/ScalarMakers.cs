using System.Reflection;
using TorchSharp;

namespace Estimators.Tests.HeldNumbers;

/// <summary>
/// The methods of TorchSharp in which a <see cref="Scalar"/> arises that nothing holds while libtorch reads it: the conversions, and
/// whatever reaches one of them in TorchSharp's own code. Read from its compiled assembly, so that a method that a later version adds is
/// known too.
/// </summary>
internal sealed class ScalarMakers
{
    private readonly Dictionary<MethodBase, MethodBase> makers;   // with what it calls for it

    public ScalarMakers()
    {
        var calls = MethodCalls
            .MethodsOf(typeof(Scalar).Assembly)
            .ToDictionary(method => method, method => MethodCalls.In(method).ToArray());
        makers = calls.Keys.Where(MakesOne).ToDictionary(method => method);
        for (var before = -1; before < makers.Count;)
        {
            before = makers.Count;
            foreach (var (method, called) in calls)
            {
                if (!makers.ContainsKey(method) && called.FirstOrDefault(makers.ContainsKey) is { } maker)
                    makers.Add(method, maker);
            }

            // Whoever makes such an object will call its virtual methods, by the name of a base class from which nothing can be told.
            foreach (var method in makers.Keys.Where(method => method is { IsVirtual: true, Name: "forward" or "step" }).ToArray())
            {
                foreach (
                    var constructor in calls.Keys.Where(other =>
                        other.IsConstructor && method.DeclaringType!.IsAssignableFrom(other.DeclaringType)))
                    makers.TryAdd(constructor, method);
            }
        }
    }

    /// <summary>Where methods of an assembly call one of them.</summary>
    /// <param name="methods">The methods to look through.</param>
    /// <returns>A line for each place: who calls what, and through what that comes to a scalar.</returns>
    public IEnumerable<string> UsesIn(IEnumerable<MethodBase> methods) =>
        from method in methods
        from called in MethodCalls.In(method).Distinct()
        where makers.ContainsKey(called)
        select $"{MethodCalls.Describe(method)} calls {string.Join(", which calls ", Chain(called).Select(MethodCalls.Describe))}";

    private static bool MakesOne(MethodBase method) => method switch
    {
        MethodInfo { Name: "op_Implicit" or "op_Explicit" or "ToScalar" } conversion => conversion.ReturnType == typeof(Scalar),
        _ => method.IsConstructor && method.DeclaringType == typeof(Scalar),
    };

    private IEnumerable<MethodBase> Chain(MethodBase method)
    {
        yield return method;
        while (makers[method] is var next && next != method)
            yield return method = next;
    }
}
