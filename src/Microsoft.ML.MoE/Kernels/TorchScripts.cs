// ATen operators that TorchSharp does not bind, reached through TorchScript. Every script of the assembly is here, because one that does
// not compile, a function name that does not exist or an argument of the wrong kind can end the process: check arguments before `invoke`,
// and cover each function with a test. Operators that change lists in place get the lists that were passed in: what they do to a slice of
// one, the compiler takes for dead code. Signatures: libtorch 2.10, native_functions.yaml.
//
// Axes: R = rows sorted by expert, E = experts, D = width in, F = width out.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels;

/// <summary>Operators of libtorch that TorchSharp does not bind.</summary>
internal static class TorchScripts
{
    private const string Source = """
        def grouped_mm(x, w, offsets):
            return torch._grouped_mm(x, w, offsets)

        def fused_adamw_(parameters: List[Tensor], gradients: List[Tensor], first_moments: List[Tensor], second_moments: List[Tensor],
                         steps: List[Tensor], learning_rate: float, beta1: float, beta2: float, weight_decay: float, epsilon: float,
                         gradient_divisor: Optional[Tensor], skip: Optional[Tensor]):
            amsgrad_moments: List[Tensor] = []
            if skip is None:
                torch._foreach_add_(steps, 1)
            else:
                torch._foreach_add_(steps, 1 - skip)
            torch._fused_adamw_(parameters, gradients, first_moments, second_moments, amsgrad_moments, steps,
                                lr=learning_rate, beta1=beta1, beta2=beta2, weight_decay=weight_decay, eps=epsilon,
                                amsgrad=False, maximize=False, grad_scale=gradient_divisor, found_inf=skip)

        def fused_sgd_(parameters: List[Tensor], gradients: List[Tensor], momenta: List[Tensor],
                       learning_rate: float, momentum: float, nesterov: bool, weight_decay: float,
                       gradient_divisor: Optional[Tensor], skip: Optional[Tensor]):
            torch._fused_sgd_(parameters, gradients, momenta,
                              weight_decay=weight_decay, momentum=momentum, lr=learning_rate, dampening=0., nesterov=nesterov,
                              maximize=False, is_first_step=False, grad_scale=gradient_divisor, found_inf=skip)

        def lamb_(parameters: List[Tensor], gradients: List[Tensor], first_moments: List[Tensor], second_moments: List[Tensor],
                  steps: List[Tensor], learning_rate: float, beta1: float, beta2: float, weight_decay: float, epsilon: float,
                  trust_ratio: bool, gradient_divisor: Optional[Tensor], skip: Tensor):
            done = 1 - skip
            if gradient_divisor is not None:
                torch._foreach_div_(gradients, gradient_divisor)
            for gradient in gradients:
                gradient.masked_fill_(skip > 0, 0)
            torch._foreach_add_(steps, done)
            torch._foreach_mul_(first_moments, beta1 + (1 - beta1) * skip)
            torch._foreach_add_(first_moments, gradients, alpha=1 - beta1)
            torch._foreach_mul_(second_moments, beta2 + (1 - beta2) * skip)
            torch._foreach_addcmul_(second_moments, gradients, gradients, value=1 - beta2)
            counts = [step.clamp_min(1) for step in steps]
            update = torch._foreach_div(first_moments, [1 - torch.pow(beta1, count) for count in counts])
            root = torch._foreach_div(second_moments, [1 - torch.pow(beta2, count) for count in counts])
            torch._foreach_sqrt_(root)
            torch._foreach_add_(root, epsilon)
            torch._foreach_div_(update, root)
            torch._foreach_add_(update, parameters, alpha=weight_decay)
            rate = learning_rate * done
            if trust_ratio:
                norms = torch.stack(torch._foreach_norm(parameters, 2))
                update_norms = torch.stack(torch._foreach_norm(update, 2))
                ratios = torch.where((norms > 0) & (update_norms > 0), norms / update_norms, torch.ones_like(norms))
                torch._foreach_mul_(update, (rate * ratios).unbind())
            else:
                torch._foreach_mul_(update, rate)
            torch._foreach_sub_(parameters, update)

        def muon_momentum_(gradients: List[Tensor], momenta: List[Tensor], momentum: float,
                           gradient_divisor: Optional[Tensor], skip: Tensor):
            if gradient_divisor is not None:
                torch._foreach_div_(gradients, gradient_divisor)
            skipped = skip > 0
            weight = (1 - momentum) * (1 - skip)
            for i in range(len(gradients)):
                gradients[i].masked_fill_(skipped, 0)
                momenta[i].lerp_(gradients[i], weight)
                gradients[i].lerp_(momenta[i], momentum)

        def unit_norm(x):
            return x / (torch.linalg_vector_norm(x, 2, [-2, -1], True) + 1e-7)

        def newton_schulz(x):
            for _ in range(5):
                a = torch.bmm(x, x.transpose(1, 2))
                x = torch.baddbmm(x, torch.baddbmm(a, a, a, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
            return x

        def muon_update_(parameters: List[Tensor], updates: List[Tensor], learning_rate: float, weight_decay: float, skip: Tensor):
            rate = learning_rate * (1 - skip)
            if weight_decay > 0:
                torch._foreach_mul_(parameters, 1 - weight_decay * rate)
            torch._foreach_mul_(updates, rate)
            torch._foreach_sub_(parameters, updates)

        def lerp_(tensors: List[Tensor], targets: List[Tensor], weight: float):
            torch._foreach_lerp_(tensors, targets, weight)

        def global_norm(tensors: List[Tensor]):
            return torch.linalg_vector_norm(torch.stack([norm.float() for norm in torch._foreach_norm(tensors, 2)]))

        def embedding_bag(table, ids, bag_starts, weights):
            return torch.embedding_bag(table, ids, bag_starts, False, 0, False, weights)[0]

        def versions(tensors: List[Tensor]):
            changes = 0
            for x in tensors:
                changes += int(torch._version(x))
            return torch.tensor(changes)

        """;

    // Compiled once per process, at the first use, on whichever thread comes first. The functions hold no state and never change, so
    // sharing them shares nothing but code.
    private static readonly Lazy<jit.CompilationUnit> Compiled = new(
        () => jit.compile(Source), LazyThreadSafetyMode.ExecutionAndPublication);

    /// <summary>
    /// One matrix product per expert over contiguous rows: rows [offsets[e-1], offsets[e]) of <paramref name="x_RD"/> times
    /// <paramref name="w_EDF"/>[e]. Differentiable in both. Experts may have no rows.
    /// </summary>
    /// <param name="x_RD">Rows, sorted by expert; float32, bfloat16 or float16.</param>
    /// <param name="w_EDF">Weights of the experts, of the same type; D and F multiples of 16 bytes.</param>
    /// <param name="offsets_E_int32">
    /// Where each expert's rows end: a running sum of the experts' row counts, int32, on the same device. The last must be R: rows beyond
    /// it come back uninitialised. Its values are not checked, because that would bring them to the host.
    /// </param>
    /// <returns>y_RF. On the meta device, for which libtorch has no such kernel, an empty tensor of that shape.</returns>
    /// <exception cref="ArgumentException">A shape, a type or an alignment does not fit.</exception>
    /// <remarks>
    /// The backward pass refuses expanded gradients (stride 0), which is what <c>y.sum().backward()</c> hands it.
    /// </remarks>
    public static Tensor GroupedMatMul(Tensor x_RD, Tensor w_EDF, Tensor offsets_E_int32)
    {
        if (x_RD.dim() != 2 || w_EDF.dim() != 3 || x_RD.shape[1] != w_EDF.shape[1])
            throw new ArgumentException(
                $"Rows [{Shape(x_RD)}] and expert weights [{Shape(w_EDF)}] do not match: (R, D) and (E, D, F) are wanted.");
        if (offsets_E_int32.dim() != 1 || offsets_E_int32.shape[0] != w_EDF.shape[0] || offsets_E_int32.dtype != ScalarType.Int32)
            throw new ArgumentException(
                $"Offsets are {offsets_E_int32.dtype} [{Shape(offsets_E_int32)}]; one Int32 for each of the {w_EDF.shape[0]} experts is "
                    + "wanted.");
        if (x_RD.dtype != w_EDF.dtype || x_RD.dtype is not (ScalarType.Float32 or ScalarType.BFloat16 or ScalarType.Float16))
            throw new ArgumentException(
                $"Rows are {x_RD.dtype} and expert weights are {w_EDF.dtype}; both must be the same one of Float32, BFloat16 and Float16.");

        long alignment = 16 / x_RD.element_size();
        if (w_EDF.shape[1] % alignment != 0 || w_EDF.shape[2] % alignment != 0)
            throw new ArgumentException(
                $"Expert weights are [{Shape(w_EDF)}] {w_EDF.dtype}; both widths must be multiples of {alignment} (16 bytes).");

        if (x_RD.device_type == DeviceType.META)
            return empty(x_RD.shape[0], w_EDF.shape[2], dtype: x_RD.dtype, device: x_RD.device);

        return Invoke("grouped_mm", x_RD, w_EDF, offsets_E_int32)!;
    }

    /// <summary>
    /// One AdamW step on many tensors in place: adds 1 to every step count, then updates moments and parameters in one pass over the
    /// memory. Call it where gradients are not recorded. All lists run in parallel; steps are float32 scalars on the parameters' device.
    /// </summary>
    /// <param name="tensors">What is trained; the gradients are divided in place where <paramref name="gradientDivisor"/> is given.</param>
    /// <param name="step">The step; each weight shrinks by the weight decay times the learning rate.</param>
    /// <param name="gradientDivisor">Every gradient is divided by this before use; a float32 scalar on the parameters' device, or null for
    /// 1.</param>
    /// <param name="skip">1 leaves everything as it was, 0 does the step; a float32 scalar on the parameters' device, or null for
    /// 0.</param>
    public static void FusedAdamW(AdamTensors tensors, AdamStep step, Tensor? gradientDivisor, Tensor? skip)
    {
        var (parameters, gradients, first, second, steps) = tensors;
        using Scalar lr = Number(step.LearningRate),
            b1 = Number(step.Beta1),
            b2 = Number(step.Beta2),
            decay = Number(step.WeightDecay),
            eps = Number(step.Epsilon);
        _ = Invoke("fused_adamw_", parameters, gradients, first, second, steps, lr, b1, b2, decay, eps, gradientDivisor, skip);
    }

    /// <summary>
    /// One step of stochastic gradient descent on many tensors in place, in one pass over the memory. Call it where gradients are not
    /// recorded. The lists run in parallel.
    /// </summary>
    /// <param name="parameters">What is trained.</param>
    /// <param name="gradients">Their gradients; divided in place where <paramref name="gradientDivisor"/> is given.</param>
    /// <param name="momenta">Running sums of the gradients; empty where the momentum is 0.</param>
    /// <param name="step">The step.</param>
    /// <param name="gradientDivisor">As for <see cref="FusedAdamW"/>.</param>
    /// <param name="skip">As for <see cref="FusedAdamW"/>.</param>
    public static void FusedSgd(
        Tensor[] parameters, Tensor[] gradients, Tensor[] momenta, SgdStep step, Tensor? gradientDivisor, Tensor? skip)
    {
        using Scalar lr = Number(step.LearningRate),
            decayOfSum = Number(step.Momentum),
            decay = Number(step.WeightDecay),
            lookAhead = Number(step.Nesterov);
        _ = Invoke("fused_sgd_", parameters, gradients, momenta, lr, decayOfSum, lookAhead, decay, gradientDivisor, skip);
    }

    /// <summary>
    /// One LAMB step on many tensors in place: adds 1 to every step count, then updates moments and parameters. Call it where gradients are
    /// not recorded. All lists run in parallel.
    /// </summary>
    /// <param name="tensors">What is trained; the gradients are divided in place where <paramref name="gradientDivisor"/> is given, and 0
    /// afterwards in a step that is skipped.</param>
    /// <param name="step">The step; the weight decay times the weights is added to the update before its norm is taken.</param>
    /// <param name="trustRatio">Whether each tensor's update is scaled to the norm of its weights.</param>
    /// <param name="gradientDivisor">As for <see cref="FusedAdamW"/>.</param>
    /// <param name="skip">As for <see cref="FusedAdamW"/>, but for null.</param>
    public static void Lamb(AdamTensors tensors, AdamStep step, bool trustRatio, Tensor? gradientDivisor, Tensor skip)
    {
        var (parameters, gradients, first, second, steps) = tensors;
        using Scalar lr = Number(step.LearningRate),
            b1 = Number(step.Beta1),
            b2 = Number(step.Beta2),
            decay = Number(step.WeightDecay),
            eps = Number(step.Epsilon);
        using var ratio = Number(trustRatio);
        _ = Invoke("lamb_", parameters, gradients, first, second, steps, lr, b1, b2, decay, eps, ratio, gradientDivisor, skip);
    }

    /// <summary>
    /// Takes gradients into running means and makes of each what Nesterov's look-ahead along the mean comes to, in place. Call it where
    /// gradients are not recorded. The lists run in parallel.
    /// </summary>
    /// <param name="gradients">Gradients; afterwards μ · mean + (1 − μ) · gradient.</param>
    /// <param name="momenta">Their running means.</param>
    /// <param name="momentum">What a mean keeps of itself, μ.</param>
    /// <param name="gradientDivisor">As for <see cref="FusedAdamW"/>.</param>
    /// <param name="skip">As for <see cref="FusedAdamW"/>, but for null; the gradients are overwritten all the same.</param>
    public static void MuonMomentum(Tensor[] gradients, Tensor[] momenta, double momentum, Tensor? gradientDivisor, Tensor skip)
    {
        using Scalar kept = Number(momentum);
        _ = Invoke("muon_momentum_", gradients, momenta, kept, gradientDivisor, skip);
    }

    /// <summary>
    /// Brings the singular values of matrices close to 1, where the norm of a matrix is not too far above them: five steps of a
    /// Newton–Schulz iteration with Muon's coefficients. Call it where gradients are not recorded.
    /// </summary>
    /// <param name="x_BSL">Matrices, float32 (B, S, L); fastest where S is at most L.</param>
    /// <param name="type">Type of the products, <see cref="ScalarType.Float32"/> or <see cref="ScalarType.BFloat16"/>.</param>
    /// <returns>(B, S, L) of that type.</returns>
    public static Tensor NewtonSchulz(Tensor x_BSL, ScalarType type)
    {
        using var scope = NewDisposeScope();
        return Invoke("newton_schulz", Invoke("unit_norm", x_BSL)!.to_type(type))!.MoveToOuterDisposeScope();
    }

    /// <summary>w ← (1 − η λ) w − η · update, in place. Call it where gradients are not recorded. The lists run in parallel.</summary>
    /// <param name="parameters">What is trained.</param>
    /// <param name="updates">Their updates; multiplied by η afterwards.</param>
    /// <param name="learningRate">Learning rate η.</param>
    /// <param name="weightDecay">Weight decay λ.</param>
    /// <param name="skip">As for <see cref="FusedAdamW"/>, but for null; updates must be finite all the same.</param>
    public static void MuonUpdate(Tensor[] parameters, Tensor[] updates, double learningRate, double weightDecay, Tensor skip)
    {
        using Scalar rate = Number(learningRate), decay = Number(weightDecay);
        _ = Invoke("muon_update_", parameters, updates, rate, decay, skip);
    }

    /// <summary>Moves tensors towards others in place: t + weight · (target − t). Call it where gradients are not recorded.</summary>
    /// <param name="tensors">What moves; floating-point.</param>
    /// <param name="targets">Tensors of the same shapes, types and devices.</param>
    /// <param name="weight">How far, 0 to 1.</param>
    public static void Lerp(Tensor[] tensors, Tensor[] targets, double weight)
    {
        if (tensors.Length == 0)
            return;
        using Scalar far = Number(weight);
        _ = Invoke("lerp_", tensors, targets, far);
    }

    /// <summary>
    /// The Euclidean norm of all elements of all tensors together: a float32 scalar on their device, without a copy to the host.
    /// </summary>
    /// <param name="tensors">One or more tensors on one device.</param>
    /// <exception cref="ArgumentException">There is no tensor.</exception>
    public static Tensor GlobalNorm(Tensor[] tensors)
    {
        if (tensors.Length == 0)
            throw new ArgumentException("The norm of no tensors was asked for.", nameof(tensors));

        return Invoke("global_norm", [tensors])!;
    }

    /// <summary>
    /// For every bag the weighted sum of its rows of a table, without a copy of the rows: Σ weightsᵢ · table[idsᵢ]. Call it where gradients
    /// are not recorded.
    /// </summary>
    /// <param name="table_ND">Float32 (N, D).</param>
    /// <param name="ids_CM">Rows of each bag, int64 (C, M); each from 0 to N − 1, which is not checked: that would bring them to the
    /// host.</param>
    /// <param name="weights_CM">Float32 (C, M).</param>
    /// <returns>Float32 (C, D).</returns>
    /// <exception cref="ArgumentException">A shape or a type does not fit.</exception>
    public static Tensor EmbeddingBag(Tensor table_ND, Tensor ids_CM, Tensor weights_CM)
    {
        if (table_ND.dim() != 2 || ids_CM.dim() != 2 || !ids_CM.shape.SequenceEqual(weights_CM.shape))
            throw new ArgumentException(
                $"The table [{Shape(table_ND)}], rows [{Shape(ids_CM)}] and weights [{Shape(weights_CM)}] do not match: (N, D), (C, M) "
                    + "and (C, M) are wanted.");
        if (table_ND.dtype != ScalarType.Float32 || weights_CM.dtype != ScalarType.Float32 || ids_CM.dtype != ScalarType.Int64)
            throw new ArgumentException(
                $"The table is {table_ND.dtype}, rows are {ids_CM.dtype} and weights {weights_CM.dtype}; Float32, Int64 and Float32 are "
                    + "wanted.");

        using var scope = NewDisposeScope();
        var (bags, rows) = (ids_CM.shape[0], ids_CM.shape[1]);
        var (ids, starts, weights) = (ids_CM.flatten(), Range(bags, int64, ids_CM.device).Times(rows), weights_CM.flatten());
        return Invoke("embedding_bag", table_ND, ids, starts, weights)!.MoveToOuterDisposeScope();
    }

    /// <summary>How often the tensors have been changed in place by operations of libtorch, together.</summary>
    /// <param name="tensors">Tensors that were not made in inference mode, in which libtorch does not count.</param>
    public static long Versions(Tensor[] tensors)
    {
        if (tensors.Length == 0)
            return 0;
        using var changes = Invoke("versions", [tensors])!;
        return changes.ReadInt64();
    }

    // Calls a function with tensors, lists of them, held scalars and nulls. Of plain numbers TorchSharp would make scalars whose native
    // parts alone it keeps.
    private static Tensor? Invoke(string function, params object?[] arguments)
    {
        if (arguments.FirstOrDefault(argument => argument is not (null or Tensor or Tensor[] or Scalar)) is { } other)
            throw new ArgumentException(
                $"'{function}' was given a {other.GetType()}; tensors and scalars that the caller holds are wanted.");
        var result = Compiled.Value.invoke(function, arguments!);
        GC.KeepAlive(arguments);
        return (Tensor?)result;
    }

    private static string Shape(Tensor tensor) => string.Join(", ", tensor.shape);
}
