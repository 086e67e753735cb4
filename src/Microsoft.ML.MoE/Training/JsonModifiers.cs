using System.Text.Json.Serialization.Metadata;

namespace Microsoft.ML.MoE.Training;

/// <summary>What System.Text.Json is told beyond its options.</summary>
internal static class JsonModifiers
{
    /// <summary>Leaves properties out that cannot be set: they follow from the others.</summary>
    public static void LeaveOutWhatIsComputed(JsonTypeInfo type)
    {
        for (var i = type.Properties.Count - 1; i >= 0; i--)
        {
            if (type.Properties[i].Set is null)
                type.Properties.RemoveAt(i);
        }
    }
}
