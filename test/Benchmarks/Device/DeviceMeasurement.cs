// Axes: T = tokens, D = width, N = images, C = channels or classes, H = height, W = width.

using System.Runtime.InteropServices;
using Benchmarks.Experts;
using Benchmarks.Peer;
using Benchmarks.Training;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Device;

/// <summary>
/// What the models reach on a device: mixtures beside dense layers, PEER, an image classifier. Each piece of work that fails, for want of
/// memory as a rule, says so in its place, and the others go on.
/// </summary>
internal sealed class DeviceMeasurement(torch.Device device, DeviceSizes sizes)
{
    private const double LearningRate = 1e-3;

    private readonly DeviceTimer timer = new(device);

    /// <summary>Measures everything, and reports each figure as it is there.</summary>
    public DeviceReport Run(Action<DeviceFigure> report)
    {
        var figures = new List<DeviceFigure>();
        foreach (var (name, items, measure) in Works())
        {
            DeviceFigure figure;
            try
            {
                figure = measure(name);
            }
            catch (Exception e) when (e is ExternalException or InvalidOperationException or NotSupportedException or ArgumentException)
            {
                figure = new(name, null, null, null, items, e.Message.Split('\n')[0]);
            }

            figures.Add(figure);
            report(figure);
        }

        return new(device.ToString(), MachineDescription.Describe(), sizes.Name, figures);
    }

    private IEnumerable<(string Name, string Items, Func<string, DeviceFigure> Measure)> Works()
    {
        foreach (var type in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            var suffix = type == ScalarType.Float32 ? "fp32" : "bf16";
            foreach (var work in sizes.Mixtures)
            {
                var size = $"{work.Tokens}x{work.Width}x{work.HiddenWidth}";
                yield return ($"mixture/{size}-e{work.Experts}-{suffix}", "tokens", name => Mixture(name, work, type));
                yield return ($"dense/{work.ExpertsPerToken}x{size}-{suffix}", "tokens", name => Dense(name, work, type));
            }

            yield return ($"widenet/step-{sizes.Images}-{suffix}", "images", name => Step(name, type));
            yield return ($"widenet/score-{sizes.Images}-{suffix}", "images", name => Score(name, type));
        }

        foreach (var work in sizes.Peers)
            yield return ($"peer/{work.Experts}-step-{work.Tokens}", "tokens", name => PeerStep(name, work));
    }

    private DeviceFigure Mixture(string name, ExpertsWork work, ScalarType type)
    {
        using var layer = work.Layer(type);
        layer.to(device);
        using var step = new LayerStep(layer, x_TD => layer.forward(x_TD).Output_TD, OnDevice(work.Inputs()));
        return Figure(name, timer.MedianOf(step.Run), work.Step(type).MultiplyAdds, work.Tokens, "tokens");
    }

    private DeviceFigure Dense(string name, ExpertsWork work, ScalarType type)
    {
        using var layer = nn.Sequential(nn.Linear(work.Width, work.HiddenWidth), nn.GELU(), nn.Linear(work.HiddenWidth, work.Width));
        layer.to(type).to(device);
        using var step = new LayerStep(layer, layer.forward, OnDevice(work.Inputs(work.ExpertsPerToken, type)));
        var multiplyAdds = 3.0 * work.Tokens * work.ExpertsPerToken * 2 * work.Width * work.HiddenWidth;
        return Figure(name, timer.MedianOf(step.Run), multiplyAdds, work.Tokens, "tokens");
    }

    private DeviceFigure Step(string name, ScalarType type)
    {
        using var model = sizes.Classifier.Build(device, type);
        var options = new TrainingOptions { WeightDecay = 0.05, GradientClipNorm = 1 };
        using var step = new ModelStep(model, options);
        var (images_NCHW, labels_N) = Batch();
        using (images_NCHW)
        using (labels_N)
        {
            var time = timer.MedianOf(() => step.Run(images_NCHW, labels_N, LearningRate).Dispose());
            return Figure(name, time, 3.0 * sizes.Images * sizes.Classifier.GetCost().ForwardMacs, sizes.Images, "images");
        }
    }

    private DeviceFigure Score(string name, ScalarType type)
    {
        using var model = sizes.Classifier.Build(device, type);
        model.eval();
        var (images_NCHW, labels_N) = Batch();
        using (images_NCHW)
        using (labels_N)
        {
            var time = timer.MedianOf(() =>
            {
                using var scope = NewDisposeScope();
                using var noGradient = inference_mode();
                _ = model.call(images_NCHW).Logits_NC.cpu();
            });
            return Figure(name, time, (double)sizes.Images * sizes.Classifier.GetCost().ForwardMacs, sizes.Images, "images");
        }
    }

    // Rows of tables bound it, not products.
    private DeviceFigure PeerStep(string name, PeerWork work)
    {
        var layer = work.Layer();
        layer.to(device);
        using var step = new OurPeerStep(layer);
        var (x_TD, gradient_TD) = work.Inputs();
        try
        {
            var inputs_TD = x_TD.Select(x => x.to(device)).ToArray();
            using var gradientThere_TD = gradient_TD.to(device);
            var batch = 0;
            var time = timer.MedianOf(() => step.Run(inputs_TD[batch++ % inputs_TD.Length], gradientThere_TD));
            foreach (var input_TD in inputs_TD)
                input_TD.Dispose();
            return Figure(name, time, multiplyAdds: null, work.Tokens, "tokens");
        }
        finally
        {
            gradient_TD.Dispose();
            foreach (var input_TD in x_TD)
                input_TD.Dispose();
        }
    }

    private (Tensor Images_NCHW, Tensor Labels_N) Batch()
    {
        var config = sizes.Classifier;
        using var generator = new Generator(3);
        using var images_NCHW = randn([sizes.Images, config.Channels, config.ImageHeight, config.ImageWidth], generator: generator);
        using var labels_N = randint(config.ClassCount, [sizes.Images], ScalarType.Int64, generator: generator);
        return (images_NCHW.to(device, copy: true), labels_N.to(device, copy: true));
    }

    private (Tensor X_TD, Tensor Gradient_TD) OnDevice((Tensor X_TD, Tensor Gradient_TD) inputs)
    {
        using (inputs.X_TD)
        using (inputs.Gradient_TD)
            return (inputs.X_TD.detach().to(device, copy: true).requires_grad_(), inputs.Gradient_TD.to(device, copy: true));
    }

    private static DeviceFigure Figure(string name, double milliseconds, double? multiplyAdds, int items, string what) => new(
        name,
        Math.Round(milliseconds, 3),
        multiplyAdds is { } count ? Math.Round(2 * count / milliseconds / 1e9, 3) : null,
        Math.Round(items / milliseconds * 1000, 1),
        what);
}
