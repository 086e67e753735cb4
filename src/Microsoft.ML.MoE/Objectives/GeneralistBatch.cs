// Axes: N = examples, M = candidates, F = frames, C = channels, H = height, W = width, L = tokens of the longest text.

using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>Examples of one task that are learned in one step.</summary>
internal sealed class GeneralistBatch : IDisposable
{
    /// <summary>The label of a token that nobody asks for.</summary>
    public const long NotAsked = -100;

    /// <summary>Takes the tensors over, out of any dispose scope.</summary>
    /// <param name="task">The task.</param>
    /// <param name="pictures">Images, float32 (N, C, H, W), or videos (N, F, C, H, W), where the task has them; else null.</param>
    /// <param name="texts">Texts that are read: the input, or the descriptions of pictures; else null.</param>
    /// <param name="candidates">The M targets to choose among: names of classes, texts that are retrieved, none twice, or all tokens of the
    /// vocabulary.</param>
    /// <param name="labels">
    /// Which of them is right: of each example, int64 (N), or where tokens are predicted of each token of <paramref name="texts"/>, int64
    /// (N, L), with <see cref="NotAsked"/> for those that nobody asks for.
    /// </param>
    /// <param name="hidden_NL">True for tokens that are masked, bool (N, L), for <see cref="GeneralistTaskKind.MaskedLanguageModel"/>; else
    /// null.</param>
    /// <exception cref="ArgumentException">What the task asks for is missing, or something else is there.</exception>
    public GeneralistBatch(
        GeneralistTask task, Tensor? pictures, PaddedTexts? texts, PaddedTexts candidates, Tensor labels, Tensor? hidden_NL = null)
    {
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(candidates);
        ArgumentNullException.ThrowIfNull(labels);
        var ofText = task.Kind.InputModality() == TokenModality.Text;
        Require("pictures", pictures is not null, !ofText);
        Require("texts", texts is not null, ofText || task.Kind.IsCaption());
        Require("hidden tokens", hidden_NL is not null, task.Kind == GeneralistTaskKind.MaskedLanguageModel);
        Require("a label for every token", labels.dim() == 2, task.Kind.PredictsTokens());
        Task = task;
        Pictures = pictures?.DetachFromDisposeScope();
        Texts = texts?.DetachFromDisposeScope();
        Candidates = candidates.DetachFromDisposeScope();
        Labels = labels.DetachFromDisposeScope();
        Hidden_NL = hidden_NL?.DetachFromDisposeScope();

        void Require(string what, bool found, bool wanted)
        {
            if (found != wanted)
                throw new ArgumentException(
                    $"A batch of task '{task.Name}' has {(found ? "" : "not ")}{what}; a task of kind {task.Kind} wants "
                        + $"{(wanted ? "them" : "none")}.");
        }
    }

    /// <summary>The task.</summary>
    public GeneralistTask Task { get; }

    /// <summary>Images or videos, or null.</summary>
    public Tensor? Pictures { get; }

    /// <summary>Texts that are read, or null.</summary>
    public PaddedTexts? Texts { get; }

    /// <summary>The targets to choose among.</summary>
    public PaddedTexts Candidates { get; }

    /// <summary>Which of them is right, int64 (N) or (N, L).</summary>
    public Tensor Labels { get; }

    /// <summary>True for tokens that are masked, bool (N, L), or null.</summary>
    public Tensor? Hidden_NL { get; }

    /// <summary>Number of examples N.</summary>
    public int Count => (int)Labels.shape[0];

    /// <inheritdoc/>
    public void Dispose()
    {
        Pictures?.Dispose();
        Texts?.Dispose();
        Candidates.Dispose();
        Labels.Dispose();
        Hidden_NL?.Dispose();
    }
}
