using System.Diagnostics.CodeAnalysis;
using System.Reflection;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// Copies what a record declares, so that a copy constructor that is written out need not list it: F# and VB have no <c>with</c>, and those
/// that the compiler makes are not public.
/// </summary>
internal static class DeclaredFields
{
    /// <summary>Copies the fields that a type itself declares; those of its base are the base's matter.</summary>
    public static void Copy<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.NonPublicFields)] T>(T from, T to) where T : class
    {
        foreach (var field in typeof(T).GetFields(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            field.SetValue(to, field.GetValue(from));
    }
}
