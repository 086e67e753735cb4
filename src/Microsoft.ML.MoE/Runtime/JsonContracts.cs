using System.Text.Json.Serialization.Metadata;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// How System.Text.Json finds the members of what we write. Named wherever JSON is written or read: where an application is published
/// with trimming, nothing is found by default.
/// <para>
/// By reflection, and not by source generation, which writes the default of its type into every init-only property that a document
/// lacks: of a zip that was written before a property existed, 0 in place of the property's own default. Partial trimming leaves our
/// types whole.
/// </para>
/// </summary>
internal static class JsonContracts
{
    /// <summary>All public properties.</summary>
    public static IJsonTypeInfoResolver All { get; } = new DefaultJsonTypeInfoResolver();

    /// <summary>The properties that can be set: the others follow from them.</summary>
    public static IJsonTypeInfoResolver Settable { get; } = new DefaultJsonTypeInfoResolver { Modifiers = { LeaveOutWhatIsComputed } };

    private static void LeaveOutWhatIsComputed(JsonTypeInfo type)
    {
        for (var i = type.Properties.Count - 1; i >= 0; i--)
        {
            if (type.Properties[i].Set is null)
                type.Properties.RemoveAt(i);
        }
    }
}
