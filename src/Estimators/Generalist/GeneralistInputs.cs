using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How the images and the videos of a generalist become its input.</summary>
/// <param name="Images">The images; null where no task has any.</param>
/// <param name="Videos">The videos; null where no task has any.</param>
internal sealed record GeneralistInputs(GeneralistPictures? Images, GeneralistPictures? Videos)
{
    /// <summary>Those of a task; null for tasks of texts, and where the model has learned none.</summary>
    public GeneralistPictures? Of(GeneralistTask task) => task.Kind.InputModality() switch
    {
        TokenModality.Image => Images,
        TokenModality.Video => Videos,
        _ => null,
    };

    /// <summary>The pictures of a task's examples as a tensor; null for tasks of texts.</summary>
    public torch.Tensor? ToTensor(GeneralistTask task, IReadOnlyList<GeneralistExample> examples, torch.Device device) =>
        Of(task)?.ToTensor([.. examples.Select(example => example.Picture!)], device);
}
