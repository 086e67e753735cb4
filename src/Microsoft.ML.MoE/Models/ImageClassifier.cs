using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>A network that maps a batch of images, float32 (N, C, H, W), to class scores.</summary>
public abstract class ImageClassifier : nn.Module<Tensor, ImageClassifierOutput>
{
    private protected ImageClassifier(string name, ImageClassifierConfig config) : base(name)
    {
        config.Validate();
        Config = config;
    }

    /// <summary>The configuration that the network was made from.</summary>
    public ImageClassifierConfig Config { get; }

    private protected void CheckImages(Tensor images_NCHW)
    {
        var shape = images_NCHW.shape;
        if (shape.Length != 4 || shape[1] != Config.Channels || shape[2] != Config.ImageHeight || shape[3] != Config.ImageWidth)
        {
            throw new ArgumentException(
                $"The images have the shape ({string.Join(", ", shape)}); this model takes (N, {Config.Channels}, {Config.ImageHeight}, {Config.ImageWidth}).", nameof(images_NCHW));
        }
    }
}
