using Microsoft.ML.MoE.Optimizers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Optimizer;

/// <summary>
/// One Muon step over the matrices of three blocks of width 64 with 4 experts of width 128, batched by shape, against one matrix after the
/// other.
/// </summary>
internal sealed class MuonBenchmark : IBenchmark
{
    private const int Blocks = 3;
    private const int Width = 64;
    private const int Hidden = 128;
    private const int Experts = 4;
    private const double LearningRate = 0.02;

    private readonly Parameter[] parameters;
    private readonly Tensor[] gradients;
    private readonly Tensor[] matrices;   // of the baseline, (O, I) each, with its gradients and momenta
    private readonly Tensor[] matrixGradients;
    private readonly Tensor[] momenta;
    private readonly HiddenMatrices[] shapes;
    private readonly Muon muon;

    public MuonBenchmark()
    {
        using var generator = new Generator(1);
        using var scope = NewDisposeScope();
        long[][] all = [.. Enumerable.Range(0, Blocks).SelectMany(_ => new long[][]
        {
            [3 * Width, Width], [Width, Width], [Experts, Width, Hidden], [Experts, Hidden, Width],
        })];
        parameters = [.. all.Select(shape => new Parameter(Keep(randn(shape, generator: generator))))];
        gradients = [.. all.Select(shape => Keep(randn(shape, generator: generator)))];
        shapes = [.. parameters.Select((p, i) => i % 4 < 2 ? new HiddenMatrices(p, i % 4 == 0 ? 3 : 1) : new(p, InputsFirst: true))];
        matrices = Split(parameters);
        matrixGradients = Split(gradients);
        momenta = [.. matrices.Select(matrix => Keep(zeros_like(matrix)))];
        muon = new Muon([new([.. parameters.Select((p, i) => KeyValuePair.Create($"{i}", p))], 0)], shapes);
    }

    /// <summary>
    /// Five iterations of Newton–Schulz, each X·Xᵀ, its square, and their sum times X: 2·m²·n + m³ of a matrix of (m, n), m ≤ n.
    /// </summary>
    public BenchmarkWork? Work =>
        new(
            5 * matrices.Sum(matrix =>
            {
                double m = Math.Min(matrix.shape[0], matrix.shape[1]), n = Math.Max(matrix.shape[0], matrix.shape[1]);
                return (2 * m * m * n) + (m * m * m);
            }));

    public void Ours()
    {
        using var scope = NewDisposeScope();
        for (var i = 0; i < parameters.Length; i++)
            parameters[i].grad = gradients[i].clone();   // a step overwrites it
        muon.Step(LearningRate);
    }

    public void Baseline()
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        for (var i = 0; i < matrices.Length; i++)
        {
            momenta[i].mul_(0.95).add_(matrixGradients[i], 0.05);
            var y = (0.95 * momenta[i]) + (0.05 * matrixGradients[i]);
            var tall = y.shape[0] > y.shape[1];
            y = (tall ? y.mT : y) / (y.norm() + 1e-7);
            for (var step = 0; step < 5; step++)
            {
                var a = y.matmul(y.mT);
                y = (3.4445 * y) + ((-4.7750 * a) + (2.0315 * a.matmul(a))).matmul(y);
            }
            matrices[i].sub_((tall ? y.mT : y) * (LearningRate * Math.Sqrt(Math.Max(1, (double)matrices[i].shape[0] / matrices[i].shape[1]))));
        }
    }

    public void Check()
    {
        using var scope = NewDisposeScope();
        for (var step = 0; step < 3; step++)
        {
            Ours();
            Baseline();
        }

        var ours = Split(parameters);
        for (var i = 0; i < matrices.Length; i++)
        {
            var difference = (ours[i] - matrices[i]).abs().max().item<float>();
            if (!(difference < 2e-3))   // three steps move a weight by up to 0.06; products in bfloat16 have 8 bits
                throw new BenchmarkCheckException($"After three steps, matrix {i} differs by {difference}.");
        }
    }

    public void Dispose()
    {
        muon.Dispose();
        foreach (var tensor in parameters.Concat(gradients).Concat(matrices).Concat(matrixGradients).Concat(momenta))
            tensor.Dispose();
    }

    private Tensor[] Split(IEnumerable<Tensor> tensors) =>
        [.. tensors.Zip(shapes).SelectMany(pair => pair.Second.Split(pair.First.detach()).unbind(0)).Select(matrix => Keep(matrix.clone()))];

    private static Tensor Keep(Tensor tensor) => tensor.DetachFromDisposeScope();
}
