// Makes tokens of images with convolutions. Early convolutions, arXiv 2106.14881, section 4, and the convolutional tokenizer of arXiv
// 2104.05704, section 3.3, with batch normalisation:
//
//     x <- ReLU(BatchNorm(MaxPool2(Conv3(x))))        once a halving
//
// The maximum comes first: it leaves a quarter of the numbers to the rest. In memory the channels of a pixel lie side by side, as those of
// a token do: on a CPU libtorch's maximum takes a fifteenth of the time then, and normalisation a fifth.
//
// Axes: N = images, C = channels, H = height, W = width, P = patch size, L = ⌈H/P⌉·⌈W/P⌉ tokens, D = model width.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// Maps an image to L vectors of the model's width, row by row, with the convolutions of a <see cref="ConvolutionalStem"/>.
/// </summary>
internal sealed class ConvolutionalEmbedding : nn.Module<Tensor, Tensor>, IImageEmbedding
{
    private readonly ConvolutionalStem options;
    private readonly ScalarType computeType;
    private readonly IReadOnlyList<StemConvolution> sizes;
    private readonly ParameterList weights = new();
    private readonly ModuleList<BatchNorm> norms = nn.ModuleList<BatchNorm>();

    /// <summary>Makes an embedding.</summary>
    /// <param name="options">Its convolutions.</param>
    /// <param name="channels">Channels C of an image.</param>
    /// <param name="patchSize">Pixels P along the side of a token, a power of 2.</param>
    /// <param name="width">Model width D.</param>
    /// <param name="computeType">Type of the products; float32 by default.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    public ConvolutionalEmbedding(
        ConvolutionalStem options,
        int channels,
        int patchSize,
        int width,
        ScalarType computeType = ScalarType.Float32,
        Device? device = null)
        : base(nameof(ConvolutionalEmbedding))
    {
        (this.options, this.computeType) = (options, computeType);
        sizes = options.Convolutions(channels, patchSize, width);
        foreach (var size in sizes)
        {
            // Keeps the variance through ReLU (He et al., arXiv 1502.01852, equation 10).
            var weight_OIYX = empty([size.Outputs, size.Inputs, StemConvolution.Side, StemConvolution.Side], float32, device);
            weights.append(new Parameter(Draws.Normal(weight_OIYX, 0, Math.Sqrt(2.0 * size.Outputs / size.Weights))));
            norms.Add(new BatchNorm(size.Outputs, device));
        }
        RegisterComponents();
    }

    /// <summary>Embeds a batch.</summary>
    /// <param name="images_NCHW">Images, float32 (N, C, H, W).</param>
    /// <returns>Tokens, float32 (N, L, D).</returns>
    public override Tensor forward(Tensor images_NCHW)
    {
        using var scope = NewDisposeScope();
        var x_NCHW = ChannelsLast(images_NCHW);
        for (var i = 0; i < sizes.Count; i++)
        {
            x_NCHW = Convolve(x_NCHW.to_type(computeType), CastWeights.Of(weights[i], computeType), Stride(i));
            if (Pools(i))
                x_NCHW = nn.functional.max_pool2d(x_NCHW, [2, 2], strides: [2, 2], ceil_mode: true);
            x_NCHW = Rectify(norms[i].forward(x_NCHW.to_type(float32)));
        }
        return x_NCHW.permute(0, 2, 3, 1).flatten(1, 2).MoveToOuterDisposeScope();   // (N, D, H/P, W/P) -> (N, L, D)
    }

    /// <inheritdoc/>
    public EmbeddingStep ToStep() => new StemStep([.. Enumerable.Range(0, sizes.Count).Select(ToStep)]);

    private ConvolutionStep ToStep(int i)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var (scale_O, shift_O) = norms[i].InEvaluation();
        var weight_OX = weights[i].detach().permute(0, 2, 3, 1).flatten(1);   // (O, C, 3, 3) -> (O, 3·3·C), as pixels lie
        return new(LinearStep.Of(weight_OX, bias_O: null), Numbers.Of(scale_O), Numbers.Of(shift_O), Stride(i), Pools(i));
    }

    private int Stride(int i) => sizes[i].Halves && options.Halving == StemHalving.Stride ? 2 : 1;

    private bool Pools(int i) => sizes[i].Halves && options.Halving == StemHalving.MaxPooling;

    // Where there is one channel, strides do not tell which way an image lies, so that the result is laid out too: most often it is
    // already.
    private static Tensor Convolve(Tensor x_NCHW, Tensor weight_OIYX, int stride) =>
        ChannelsLast(
            x_NCHW.device_type == DeviceType.META   // for which libtorch has no convolution
                ? Define(x_NCHW, weight_OIYX, stride)
                : nn.functional.conv2d(x_NCHW, weight_OIYX, strides: [stride, stride], padding: [1, 1]));

    /// <summary>The plain definition: a product of the weights with the 3×3 numbers around every place, or every second one.</summary>
    internal static Tensor Define(Tensor x_NCHW, Tensor weight_OIYX, int stride)
    {
        using var scope = NewDisposeScope();
        var windows_NCHWYX = nn.functional.pad(x_NCHW, [1, 1, 1, 1])
            .unfold(2, StemConvolution.Side, stride)
            .unfold(3, StemConvolution.Side, stride);
        var (images, rows, columns) = (windows_NCHWYX.shape[0], windows_NCHWYX.shape[2], windows_NCHWYX.shape[3]);
        var outputs = weight_OIYX.shape[0];
        var y_NHWO = windows_NCHWYX.permute(0, 2, 3, 1, 4, 5).reshape(images * rows * columns, -1)
            .matmul(weight_OIYX.view(outputs, -1).T)
            .view(images, rows, columns, outputs);
        return y_NHWO.permute(0, 3, 1, 2).MoveToOuterDisposeScope();
    }

    // For the meta device libtorch has no ReLU.
    private static Tensor Rectify(Tensor x) => x.device_type == DeviceType.META ? x.Clamp(min: 0.0) : x.relu();

    private static Tensor ChannelsLast(Tensor x_NCHW) => x_NCHW.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2);
}
