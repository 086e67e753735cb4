namespace Microsoft.ML.MoE.Routing;

/// <summary>
/// The eight attributes of Uni-Perceiver-MoE (arXiv 2206.04674) and which of them hold for the tokens of its tasks, as in the authors'
/// code. Other attributes may be declared beside them (<see cref="Models.GeneralistConfig.Attributes"/>). Images and videos have the same
/// ones, so that what was learned on images serves videos.
/// </summary>
public static class AttributeTable
{
    private static readonly Dictionary<StandardRole, string> Rows = new()
    {
        [StandardRole.ClassifiedPicture] = "10011000",
        [StandardRole.ClassName] = "10010110",
        [StandardRole.Text] = "01010100",
        [StandardRole.Word] = "11010110",
        [StandardRole.DescribedPicture] = "11011000",
        [StandardRole.Description] = "11010101",
        [StandardRole.RetrievedPicture] = "10011000",
        [StandardRole.RetrievedText] = "10010110",
        [StandardRole.CausalText] = "01010101",
    };

    /// <summary>The attributes in the order of the paper's bits.</summary>
    public static IReadOnlyList<string> Names { get; } =
        ["InputHasVisual", "InputHasText", "TargetIsVisual", "TargetIsText", "TokenIsVisual", "TokenIsText", "TokenIsTarget", "Causal"];

    /// <summary>The attributes that hold in a role.</summary>
    /// <param name="role">The role.</param>
    public static IReadOnlyList<string> AttributesOf(StandardRole role) => [.. Names.Where((_, bit) => Rows[role][bit] == '1')];

    /// <summary>A role of a task.</summary>
    /// <param name="role">The row of the table.</param>
    /// <param name="task">Name of the task, not empty.</param>
    /// <param name="modality">What the tokens were made of.</param>
    public static TokenRole Create(StandardRole role, string task, TokenModality modality) => new(task, modality, AttributesOf(role));
}
