namespace Microsoft.ML.MoE.Training;

/// <summary>What a recipe would choose for an option that is null.</summary>
/// <param name="Option">The option's name.</param>
/// <param name="Value">The value, of the option's type.</param>
/// <param name="Reason">Why.</param>
internal readonly record struct RecipeStep(string Option, object Value, string Reason);
