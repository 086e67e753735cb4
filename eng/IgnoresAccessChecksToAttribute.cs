namespace System.Runtime.CompilerServices;

/// <summary>The runtime knows this attribute by its name: it makes no access checks from the assembly that carries it to the named one.</summary>
[AttributeUsage(AttributeTargets.Assembly, AllowMultiple = true)]
internal sealed class IgnoresAccessChecksToAttribute(string assemblyName) : Attribute
{
    public string AssemblyName { get; } = assemblyName;
}
