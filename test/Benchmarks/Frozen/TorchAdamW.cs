using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>
/// Clipping by the global norm and AdamW in libtorch's fused kernel, which TorchSharp does not bind. Matrices decay, vectors and positions
/// do not.
/// </summary>
internal sealed class TorchAdamW : IDisposable
{
    private const string Source = """
        def global_norm(tensors: List[Tensor]):
            return torch.linalg_vector_norm(torch.stack(torch._foreach_norm(tensors, 2)))

        def fused_adamw_(parameters: List[Tensor], gradients: List[Tensor], first: List[Tensor], second: List[Tensor], steps: List[Tensor],
                         rate: float, beta1: float, beta2: float, decay: float, epsilon: float, divisor: Tensor):
            no_maxima: List[Tensor] = []
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(parameters, gradients, first, second, no_maxima, steps, lr=rate, beta1=beta1, beta2=beta2,
                                weight_decay=decay, eps=epsilon, amsgrad=False, maximize=False, grad_scale=divisor, found_inf=None)

        """;   // the parser wants the last line ended

    private readonly jit.CompilationUnit script = jit.compile(Source);
    private readonly Group[] groups;
    private readonly (double Beta1, double Beta2, double Epsilon) constants;
    private readonly double maxNorm;

    /// <param name="weights">What is trained.</param>
    /// <param name="weightDecay">Of matrices.</param>
    /// <param name="constants">β1, β2, ε.</param>
    /// <param name="maxNorm">The norm that gradients are scaled down to.</param>
    public TorchAdamW(TorchWeights weights, double weightDecay, (double Beta1, double Beta2, double Epsilon) constants, double maxNorm)
    {
        this.constants = constants;
        this.maxNorm = maxNorm;
        groups = [.. weights.All
            .GroupBy(pair => Decays(pair.Key, pair.Value))
            .Select(group => new Group([.. group.Select(pair => pair.Value)], group.Key ? weightDecay : 0))];
    }

    /// <summary>Updates the weights and drops the gradients.</summary>
    public void Step(double learningRate)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var gradients = groups.Select(group => Array.ConvertAll(group.Parameters, parameter => parameter.grad!)).ToArray();
        Tensor[] all = [.. gradients.SelectMany(each => each)];
        using Scalar small = 1e-6.ToScalar(), limit = maxNorm.ToScalar(), one = 1.0.ToScalar(), rate = learningRate.ToScalar(),
            beta1 = constants.Beta1.ToScalar(), beta2 = constants.Beta2.ToScalar(), epsilon = constants.Epsilon.ToScalar();
        var norm = (Tensor)script.invoke("global_norm", [all])!;
        var divisor = norm.add(small, one).div(limit).clamp(one, null);
        foreach (var (group, own) in groups.Zip(gradients))
        {
            using var decay = group.WeightDecay.ToScalar();
            _ = script.invoke(
                "fused_adamw_", group.Parameters, own, group.First, group.Second, group.Steps, rate, beta1, beta2, decay, epsilon, divisor);
            GC.KeepAlive(own);
            foreach (var parameter in group.Parameters)
                parameter.grad = null;
        }

        GC.KeepAlive(all);
    }

    public void Dispose()
    {
        script.Dispose();
        foreach (var group in groups)
            group.Dispose();
    }

    private static bool Decays(string name, Parameter parameter) =>
        parameter.dim() >= 2 && !name[(name.LastIndexOf('.') + 1)..].StartsWith("bias", StringComparison.Ordinal) && name != "positions";

    private sealed class Group : IDisposable
    {
        public Group(Parameter[] parameters, double weightDecay)
        {
            using var noGrad = no_grad();
            WeightDecay = weightDecay;
            Parameters = [.. parameters];
            First = Array.ConvertAll(parameters, parameter => zeros_like(parameter).DetachFromDisposeScope());
            Second = Array.ConvertAll(parameters, parameter => zeros_like(parameter).DetachFromDisposeScope());
            Steps = Array.ConvertAll(parameters, _ => zeros([], ScalarType.Float32).DetachFromDisposeScope());
        }

        public double WeightDecay { get; }

        public Tensor[] Parameters { get; }

        public Tensor[] First { get; }

        public Tensor[] Second { get; }

        public Tensor[] Steps { get; }

        public void Dispose()
        {
            foreach (var tensor in First.Concat(Second).Concat(Steps))
                tensor.Dispose();
        }
    }
}
