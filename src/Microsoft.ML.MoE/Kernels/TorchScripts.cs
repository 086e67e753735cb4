// Placeholder until the training work lands.
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels;

internal static class TorchScripts
{
    private static readonly Lazy<jit.CompilationUnit> Unit = new(() => jit.compile("def grouped_mm(a: Tensor, b: Tensor, offs: Tensor) -> Tensor:\n    return torch._grouped_mm(a, b, offs)\n"));

    public static Tensor GroupedMatMul(Tensor x, Tensor w, Tensor ends) => (Tensor)Unit.Value.invoke("grouped_mm", x, w, ends)!;
}
