namespace FashionMnist.Comparison;

/// <summary>Models that differ in one thing, trained alike.</summary>
/// <param name="Name">Its name on the command line.</param>
/// <param name="Title">What is compared.</param>
/// <param name="Paper">What the paper found (arXiv 2107.11817), with its figures.</param>
/// <param name="TrainingImages">Images that each model is trained on.</param>
/// <param name="Epochs">Passes over them.</param>
/// <param name="Variants">The models; the others' differences are to the first.</param>
internal sealed record Experiment(string Name, string Title, string Paper, int TrainingImages, int Epochs, IReadOnlyList<Variant> Variants);
