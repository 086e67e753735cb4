namespace Microsoft.ML.MoE.Training;

/// <summary>An option that does not tell one training from another. Those without it do, and need no other line for it.</summary>
/// <param name="reason">Why.</param>
[AttributeUsage(AttributeTargets.Property)]
internal sealed class OutsideIdentityAttribute(string reason) : Attribute
{
    /// <summary>Why.</summary>
    public string Reason { get; } = reason;
}
