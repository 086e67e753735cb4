using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>
/// y = weight · table[row], where the table's gradient is a list of rows and not autograd's: descent at a rate of its own. The plain
/// version of a large table.
/// </summary>
internal sealed class TableModule : nn.Module<Tensor, Tensor>, IHasOwnOptimizer
{
    private readonly Parameter table;
    private readonly Parameter weight;
    private readonly List<(Tensor Rows_N, Tensor Used_ND)> used = [];   // leaves, whose gradients the optimizer takes

    public TableModule(int rows, int width) : base(nameof(TableModule))
    {
        table = new Parameter(arange(rows * width, dtype: float32).view(rows, width) / (rows * width), requires_grad: false);
        weight = new Parameter(ones(width));
        RegisterComponents();
    }

    public Parameter Table => table;

    public Parameter Weight => weight;

    public override Tensor forward(Tensor rows_N)
    {
        var used_ND = table[rows_N].detach().requires_grad_();
        used.Add((rows_N.alias().DetachFromDisposeScope(), used_ND.DetachFromDisposeScope()));
        return used_ND.mv(weight);
    }

    public IOptimizer CreateOptimizer(OptimizerKind main, AdamConstants constants) => new RowDescent(this, rate: 0.5);

    private sealed class RowDescent(TableModule module, double rate) : IOptimizer
    {
        public IEnumerable<Parameter> Parameters => [module.table];

        public IReadOnlyDictionary<string, Tensor> State => Gradients().SelectMany((gradient, i) => new[]
        {
            KeyValuePair.Create($"rows{i}", gradient.Rows_N), KeyValuePair.Create($"gradient{i}", gradient.Gradient_ND),
        }).ToDictionary();

        public void Restore(IReadOnlyDictionary<string, Tensor> state)
        {
            ZeroGrad();
            for (int i = 0; state.ContainsKey($"rows{i}"); i++)
            {
                var used_ND = zeros_like(state[$"gradient{i}"]).requires_grad_();
                used_ND.grad = state[$"gradient{i}"].clone();
                module.used.Add((state[$"rows{i}"].clone().DetachFromDisposeScope(), used_ND.DetachFromDisposeScope()));
            }
        }

        public Tensor GradientNorm()
        {
            using var scope = NewDisposeScope();
            return Dense().norm().MoveToOuterDisposeScope();
        }

        public void Step(double learningRate, Tensor? gradientDivisor = null, Tensor? skip = null)
        {
            using var _ = no_grad();
            using var scope = NewDisposeScope();
            module.table.sub_(Dense() * (1 - (skip ?? zeros([]))) / (gradientDivisor ?? ones([])) * rate);
        }

        public void ZeroGrad()
        {
            foreach (var (rows_N, used_ND) in module.used)
            {
                rows_N.Dispose();
                used_ND.Dispose();
            }
            module.used.Clear();
        }

        public void Dispose() => ZeroGrad();

        private IEnumerable<(Tensor Rows_N, Tensor Gradient_ND)> Gradients() =>
            module.used.Where(pair => pair.Used_ND.grad is not null).Select(pair => (pair.Rows_N, pair.Used_ND.grad!));

        private Tensor Dense()
        {
            using var _ = no_grad();
            return Gradients()
                .Aggregate(zeros_like(module.table), (sum, gradient) => sum.index_add(0, gradient.Rows_N, gradient.Gradient_ND, 1));
        }
    }
}
