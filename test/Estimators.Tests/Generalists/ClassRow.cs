namespace Estimators.Tests.Generalists;

/// <summary>The name of a class.</summary>
public sealed class ClassRow
{
    public string Label { get; set; } = "";
}
