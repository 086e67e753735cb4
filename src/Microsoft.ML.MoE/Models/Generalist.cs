// One encoder for many tasks: inputs and candidate targets of any modality become vectors, and the nearest target is the answer.
// Uni-Perceiver, arXiv 2112.01522, section 3; with conditional experts: Uni-Perceiver-MoE, arXiv 2206.04674.
//
//     P(x, y) ∝ exp(cos(f(x), f(y)) / τ)
//
// Axes: N = sequences, M = candidates, L = tokens of a sequence, V = patches of a picture, F = frames, C = channels, H = height, W = width,
// D = model width, R = roles, B = blocks, P = prompts.

using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;
using LayerNorm = Microsoft.ML.MoE.Layers.LayerNorm;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Tokenisers of text, images and videos in front of one pre-LayerNorm encoder. Every sequence starts with a token &lt;SPE&gt;, whose
/// output stands for the whole.
/// </summary>
public sealed class Generalist : nn.Module
{
    /// <summary>The name of the parameter with the prompts.</summary>
    internal const string PromptsName = nameof(prompts);

    /// <summary>The name of the module with the linear head.</summary>
    internal const string HeadName = nameof(head);

    /// <summary>The name of the parameter of &lt;SPE&gt;.</summary>
    internal const string SpecialName = nameof(special);

    private const double StartingScale = 1 / 0.07;
    private const double LargestScale = 100;

    private readonly TokenEmbedding words;
    private readonly PatchEmbedding patches;
    private readonly Parameter special;
    private readonly Parameter positionsOfText;
    private readonly Parameter positionsOfPatches;
    private readonly Parameter positionsOfFrames;
    private readonly Parameter types;
    private readonly Parameter? prompts;   // (B, P, D)
    private readonly LayerNorm embeddingNorm;
    private readonly RoleEmbedding? roles;
    private readonly ModuleList<ConditionalBlock> blocks = nn.ModuleList<ConditionalBlock>();
    private readonly LayerNorm finalNorm;
    private readonly Dense projection;
    private readonly Parameter logScales;
    private readonly ClassificationHead? head;

    /// <summary>Makes the network with fresh random weights.</summary>
    /// <param name="config">Its shape.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <exception cref="ArgumentException">The configuration is not valid.</exception>
    public Generalist(GeneralistConfig config, Device? device = null) : base(nameof(Generalist))
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        Config = config;
        var width = config.Block.Width;
        words = new TokenEmbedding(config.VocabularySize, width, device: device);
        patches = new PatchEmbedding(config.Channels, config.PatchSize, width, device: device);
        special = Vectors(1);
        positionsOfText = Vectors(config.TextLength);
        positionsOfPatches = Vectors(config.Patches);
        positionsOfFrames = Vectors(config.Frames);
        types = Vectors(2);
        if (config.Prompts > 0)
            prompts = new Parameter(Draws.Normal(empty([config.Blocks, config.Prompts, width], float32, device), 0, 0.02));
        embeddingNorm = new LayerNorm(width, device: device);
        if (Enumerable.Range(0, config.Blocks).Any(config.IsSparse) && !config.Block.RoutingLevel.DependsOnData())
            roles = new RoleEmbedding(
                config.Block.RoutingLevel,
                width,
                config.Block.RoutingLevel == RoutingLevel.Task ? config.Tasks : config.Attributes,
                device);
        for (var block = 0; block < config.Blocks; block++)
        {
            var options = config.IsSparse(block) ? config.Block : config.Block with { Experts = null };
            blocks.Add(new ConditionalBlock(options, DropPath.ProbabilityOf(config.DropPath, block, config.Blocks), device));
        }
        finalNorm = new LayerNorm(width, device: device);
        projection = new Dense(width, width, device);
        logScales = new Parameter(Filled([Enum.GetValues<GeneralistTaskKind>().Length], Math.Log(StartingScale), float32, device));
        if (config.Head is { } task)
            head = new ClassificationHead(width, task.ClassNames!.Count, device);
        RegisterComponents();

        Parameter Vectors(long count) => new(Draws.Normal(empty([count, width], float32, device), 0, 0.02));
    }

    /// <summary>The configuration that the network was made from.</summary>
    public GeneralistConfig Config { get; }

    /// <summary>Embeds texts behind &lt;SPE&gt;.</summary>
    /// <param name="ids_NL">Tokens, int64 (N, L), L at most the length that the configuration allows; what stands at padding is not
    /// read.</param>
    /// <param name="role">The role of all tokens.</param>
    /// <param name="mask_NL">False for padding, which comes after a text's tokens, bool (N, L); null for none.</param>
    /// <param name="hidden_NL">True for tokens that are replaced by &lt;SPE&gt;, to be found; bool (N, L), null for none.</param>
    /// <returns>Sequences of L + 1 tokens.</returns>
    /// <exception cref="ArgumentException">The tokens have another shape or type, or are too many.</exception>
    public GeneralistSequence EmbedText(Tensor ids_NL, TokenRole role, Tensor? mask_NL = null, Tensor? hidden_NL = null)
    {
        CheckText(ids_NL);
        using var scope = NewDisposeScope();
        var texts = ids_NL.shape[0];
        var tokens_NLD = cat([Special(texts, 1), Words(ids_NL, hidden_NL)], 1);
        return new GeneralistSequence(
            embeddingNorm.forward(tokens_NLD), new SequenceLayout(new SequencePart(role, tokens_NLD.shape[1])),
            mask_NL is null ? null : cat([ones([texts, 1], @bool, mask_NL.device), mask_NL], 1)).MoveToOuterDisposeScope();
    }

    /// <summary>Embeds images behind &lt;SPE&gt;.</summary>
    /// <param name="images_NCHW">Images, float32 (N, C, H, W), of the configuration's size.</param>
    /// <param name="role">The role of all tokens.</param>
    /// <returns>Sequences of V + 1 tokens.</returns>
    /// <exception cref="ArgumentException">The images have another shape.</exception>
    public GeneralistSequence EmbedImages(Tensor images_NCHW, TokenRole role)
    {
        if (images_NCHW.dim() != 4 || !images_NCHW.shape.AsSpan(1).SequenceEqual(ImageShape))
            throw new ArgumentException(
                $"The images are ({string.Join(", ", images_NCHW.shape)}); (N, {string.Join(", ", ImageShape)}) is wanted.",
                nameof(images_NCHW));
        using var scope = NewDisposeScope();
        return Behind(Pictures(images_NCHW), role).MoveToOuterDisposeScope();
    }

    /// <summary>Embeds videos behind &lt;SPE&gt;: the patches of all frames, told apart by place and time.</summary>
    /// <param name="videos_NFCHW">Videos, float32 (N, F, C, H, W), of at least one frame and at most as many as the configuration
    /// allows.</param>
    /// <param name="role">The role of all tokens.</param>
    /// <returns>Sequences of F·V + 1 tokens.</returns>
    /// <exception cref="ArgumentException">The videos have another shape, or no frame, or too many.</exception>
    public GeneralistSequence EmbedVideos(Tensor videos_NFCHW, TokenRole role)
    {
        if (
            videos_NFCHW.dim() != 5
            || !videos_NFCHW.shape.AsSpan(2).SequenceEqual(ImageShape)
            || videos_NFCHW.shape[1] < 1
            || videos_NFCHW.shape[1] > Config.Frames)
        {
            throw new ArgumentException(
                $"The videos are ({string.Join(", ", videos_NFCHW.shape)}); (N, F, {string.Join(", ", ImageShape)}) with 1 to "
                    + $"{Config.Frames} frames F is wanted.",
                nameof(videos_NFCHW));
        }
        using var scope = NewDisposeScope();
        var (videos, frames) = (videos_NFCHW.shape[0], videos_NFCHW.shape[1]);
        var tokens_NFVD = Pictures(videos_NFCHW.flatten(0, 1))
            .view(videos, frames, Config.Patches, -1)
            .Plus(positionsOfFrames.narrow(0, 0, frames).unsqueeze(1));
        return Behind(tokens_NFVD.flatten(1, 2), role).MoveToOuterDisposeScope();
    }

    /// <summary>Embeds images and their descriptions; see <see cref="EmbedDescription"/>.</summary>
    /// <param name="images_NCHW">Images, float32 (N, C, H, W).</param>
    /// <param name="ids_NL">Words, int64 (N, L): the last may be anything, as none is told from it.</param>
    /// <param name="picture">The role of the image's tokens and of the leading &lt;SPE&gt;.</param>
    /// <param name="description">The role of the words and of what they are told from.</param>
    /// <returns>Sequences of 1 + V + 2L tokens; the last L of the encoder's outputs tell the words.</returns>
    /// <exception cref="ArgumentException">Images or words have another shape, or words are too many.</exception>
    public GeneralistSequence EmbedDescribed(Tensor images_NCHW, Tensor ids_NL, TokenRole picture, TokenRole description)
    {
        using var scope = NewDisposeScope();
        return EmbedDescription(EmbedImages(images_NCHW, picture), ids_NL, description).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Embeds the descriptions of images or videos so that every word can be told from the picture and the words before it, all at once:
    /// behind the words stands a &lt;SPE&gt; for each, which sees the picture, the words before its own, and itself; words see the picture
    /// and the words up to themselves; the picture sees itself (Uni-Perceiver, arXiv 2112.01522, appendix B).
    /// </summary>
    /// <param name="picture">What <see cref="EmbedImages"/> or <see cref="EmbedVideos"/> made, of P tokens.</param>
    /// <param name="ids_NL">Words, int64 (N, L): the last may be anything, as none is told from it.</param>
    /// <param name="description">The role of the words and of what they are told from.</param>
    /// <param name="mask_NL">False for padding, which comes after a description's words, bool (N, L); null for none.</param>
    /// <returns>Sequences of P + 2L tokens; the last L of the encoder's outputs tell the words.</returns>
    /// <exception cref="ArgumentException">Words have another shape, or are too many.</exception>
    public GeneralistSequence EmbedDescription(GeneralistSequence picture, Tensor ids_NL, TokenRole description, Tensor? mask_NL = null)
    {
        ArgumentNullException.ThrowIfNull(picture);
        CheckText(ids_NL);
        using var scope = NewDisposeScope();
        var (texts, length, before) = (ids_NL.shape[0], ids_NL.shape[1], picture.Tokens_NLD.shape[1]);
        var asked_NLD = Special(texts, length).Plus(TextPlaces(length));
        var text_NLD = embeddingNorm.forward(cat([Words(ids_NL, null), asked_NLD], 1));

        // No word sees what comes after it, so that padding changes nothing; but routers that look at tokens must leave it out.
        var mask =
            mask_NL is not null && Config.Block.RoutingLevel.DependsOnData()
                ? cat([ones([texts, before], @bool, mask_NL.device), mask_NL, mask_NL], 1)
                : null;
        return new GeneralistSequence(
            cat([picture.Tokens_NLD, text_NLD], 1),
            new SequenceLayout([.. picture.Layout.Parts, new SequencePart(description, 2 * length)]),
            mask,
            DescriptionMask(before, length, ids_NL.device)
        ).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Embeds texts so that every word can be told from the words before it, all at once: as <see cref="EmbedDescription"/>, with nothing
    /// but &lt;SPE&gt; before the words.
    /// </summary>
    /// <param name="ids_NL">Words, int64 (N, L): the last may be anything, as none is told from it.</param>
    /// <param name="role">The role of all tokens.</param>
    /// <param name="mask_NL">False for padding, which comes after a text's words, bool (N, L); null for none.</param>
    /// <returns>Sequences of 1 + 2L tokens; the last L of the encoder's outputs tell the words.</returns>
    /// <exception cref="ArgumentException">Words have another shape, or are too many.</exception>
    public GeneralistSequence EmbedCausalText(Tensor ids_NL, TokenRole role, Tensor? mask_NL = null)
    {
        CheckText(ids_NL);
        using var scope = NewDisposeScope();
        var start = new GeneralistSequence(
            embeddingNorm.forward(Special(ids_NL.shape[0], 1)), new SequenceLayout(new SequencePart(role, 1)));
        return EmbedDescription(start, ids_NL, role, mask_NL).MoveToOuterDisposeScope();
    }

    /// <summary>Encodes sequences.</summary>
    /// <param name="sequence">What one of the Embed methods made.</param>
    /// <exception cref="ArgumentException">A role is not known to the routers.</exception>
    public GeneralistOutput Encode(GeneralistSequence sequence) => Encode(sequence, merged: null);

    /// <summary>Encodes sequences, with experts that are merged once for many calls.</summary>
    /// <param name="sequence">What one of the Embed methods made.</param>
    /// <param name="merged">Keeps the merged experts for later calls, in evaluation; null to merge them anew. Without effect where tokens
    /// are routed on their own.</param>
    /// <exception cref="ArgumentException">A role is not known to the routers.</exception>
    /// <exception cref="InvalidOperationException">Merged experts are given to a model in training mode.</exception>
    internal GeneralistOutput Encode(GeneralistSequence sequence, MergedExperts? merged)
    {
        ArgumentNullException.ThrowIfNull(sequence);
        if (merged is not null && training)
            throw new InvalidOperationException("Merged experts are for evaluation, and the model is in training mode.");
        using var scope = NewDisposeScope();
        var x_NLD = sequence.Tokens_NLD;
        var context = new SequenceContext(
            sequence.Layout, roles?.forward(sequence.Layout.Roles), sequence.Mask_NL, Visible(sequence), merged);
        var balance = zeros([], float32, x_NLD.device);
        var routings = new List<ConditionalRouting>();
        foreach (var (index, block) in blocks.Index())
        {
            var (output_NLD, decided) = block.Apply(x_NLD, context, prompts?[index]);
            x_NLD = output_NLD;
            routings.AddRange(decided);
            foreach (var routing in decided.Where(routing => routing.Plan is not null))
                balance = balance.Plus(routing.Decision.BalanceLoss);
        }
        return new GeneralistOutput(projection.forward(finalNorm.forward(x_NLD)), balance, routings).MoveToOuterDisposeScope();
    }

    /// <summary>The weights of a block's second feed-forward layer, of all its experts together.</summary>
    internal Tensor SecondFeedForwardMatrix(int block) =>
        named_parameters()
            .Single(pair =>
                pair.name.StartsWith(FormattableString.Invariant($"blocks.{block}.contract."), StringComparison.Ordinal)
                && pair.name.EndsWith("weight", StringComparison.Ordinal))
            .parameter;

    /// <summary>Throws where the routers do not know a role.</summary>
    /// <exception cref="ArgumentException">A role has a task or an attribute that the model was not made for.</exception>
    internal void RequireRoles(IReadOnlyList<TokenRole> wanted)
    {
        using var scope = NewDisposeScope();
        _ = roles?.forward(wanted);
    }

    /// <summary>
    /// Log-probabilities up to a constant: the cosine of inputs and candidates over the temperature of a kind of tasks, which is learned
    /// and at least 0.01.
    /// </summary>
    /// <param name="inputs_ND">Representations of inputs, float32 (N, D).</param>
    /// <param name="candidates_MD">Representations of candidates, float32 (M, D).</param>
    /// <param name="kind">Which temperature.</param>
    /// <returns>float32 (N, M).</returns>
    public Tensor Compare(Tensor inputs_ND, Tensor candidates_MD, GeneralistTaskKind kind)
    {
        using var scope = NewDisposeScope();
        var scale = logScales[(int)kind].Clamp(max: Math.Log(LargestScale)).exp();
        var cosines_NM = nn.functional.normalize(inputs_ND, dim: -1)
            .matmul(nn.functional.normalize(candidates_MD, dim: -1).transpose(0, 1));
        return (scale * cosines_NM).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Log-probabilities of classes up to a constant: as <see cref="Compare"/>, with the linear head mixed in where the model has one
    /// (<see cref="GeneralistConfig.Head"/>) that is of the task's kind and has all its classes, told by their names. Where it lacks one it
    /// is left out for all.
    /// </summary>
    /// <param name="inputs_ND">Representations of inputs, float32 (N, D).</param>
    /// <param name="candidates_MD">Representations of the names of the classes, float32 (M, D).</param>
    /// <param name="task">The task, with the names of these classes in their order.</param>
    /// <returns>float32 (N, M).</returns>
    /// <exception cref="ArgumentException">The task has other classes than there are candidates.</exception>
    public Tensor Classify(Tensor inputs_ND, Tensor candidates_MD, GeneralistTask task)
    {
        ArgumentNullException.ThrowIfNull(task);
        if (task.ClassNames is { } names && names.Count != candidates_MD.shape[0])
            throw new ArgumentException(
                $"There are {candidates_MD.shape[0]} candidates and {names.Count} classes of task '{task.Name}'; as many are wanted.",
                nameof(candidates_MD));
        using var scope = NewDisposeScope();
        var scores_NM = Compare(inputs_ND, candidates_MD, task.Kind);
        return (ClassesOfHead(task) is { } classes ? head!.Apply(scores_NM, inputs_ND, classes) : scores_NM).MoveToOuterDisposeScope();
    }

    // Which of the head's classes those of a task are; null where the head says nothing about them.
    private long[]? ClassesOfHead(GeneralistTask task)
    {
        if (Config.Head is not { } own || own.Kind != task.Kind || task.ClassNames is not { } names)
            return null;
        var numbers = own.ClassNames!.Index().ToDictionary(pair => pair.Item, pair => (long)pair.Index);
        return names.All(numbers.ContainsKey) ? [.. names.Select(name => numbers[name])] : null;
    }

    /// <summary>Which tokens see which in <see cref="EmbedDescribed"/>.</summary>
    internal static Tensor DescriptionMask(long before, long length, Device device)
    {
        using var scope = NewDisposeScope();
        var causal_LL = ones([length, length], @bool, device).tril();
        var earlier_LL = ones([length, length], @bool, device).tril(-1);
        var picture = cat([ones([before, before], @bool, device), zeros([before, 2 * length], @bool, device)], 1);
        var said = cat([ones([length, before], @bool, device), causal_LL, zeros([length, length], @bool, device)], 1);
        var asked = cat([ones([length, before], @bool, device), earlier_LL, eye(length, dtype: @bool, device: device)], 1);
        return cat([picture, said, asked], 0).MoveToOuterDisposeScope();
    }

    private long[] ImageShape => [Config.Channels, Config.ImageHeight, Config.ImageWidth];

    private static Tensor? Visible(GeneralistSequence sequence)
    {
        // Padding sees something too, itself at least: a row that sees nothing would be NaN.
        var padding_N1L = sequence.Mask_NL?.unsqueeze(1);
        return (sequence.Visible_LL?.unsqueeze(0), padding_N1L) switch
        {
            (null, null) => null,
            ({ } visible_1LL, null) => visible_1LL,
            (null, { } mask_N1L) => mask_N1L.expand(mask_N1L.shape[0], mask_N1L.shape[2], mask_N1L.shape[2]),
            ({ } visible_1LL, { } mask_N1L) => visible_1LL
                .logical_and(mask_N1L)
                .logical_or(eye(mask_N1L.shape[2], dtype: @bool, device: mask_N1L.device)),
        };
    }

    private GeneralistSequence Behind(Tensor tokens_NLD, TokenRole role)
    {
        var all_NLD = embeddingNorm.forward(cat([Special(tokens_NLD.shape[0], 1), tokens_NLD], 1));
        return new GeneralistSequence(all_NLD, new SequenceLayout(new SequencePart(role, all_NLD.shape[1])));
    }

    private Tensor Special(long sequences, long count) => special.unsqueeze(0).expand(sequences, count, special.shape[1]);

    private Tensor TextPlaces(long length) => positionsOfText.narrow(0, 0, length).Plus(types[0]);

    private Tensor Words(Tensor ids_NL, Tensor? hidden_NL)
    {
        var words_NLD = words.forward(ids_NL);
        if (hidden_NL is not null)
            words_NLD = where(hidden_NL.unsqueeze(-1), special.unsqueeze(0), words_NLD);
        return words_NLD.Plus(TextPlaces(ids_NL.shape[1]));
    }

    private Tensor Pictures(Tensor images_NCHW) => patches.forward(images_NCHW).Plus(positionsOfPatches).Plus(types[1]);

    private void CheckText(Tensor ids_NL)
    {
        if (ids_NL.dim() != 2 || ids_NL.dtype != int64 || ids_NL.numel() == 0 || ids_NL.shape[1] > Config.TextLength)
        {
            throw new ArgumentException(
                $"The tokens are {ids_NL.dtype} ({string.Join(", ", ids_NL.shape)}); Int64 (N, L) with 1 to {Config.TextLength} tokens is "
                    + "wanted.",
                nameof(ids_NL));
        }
    }
}
