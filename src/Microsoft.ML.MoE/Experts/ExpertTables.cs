// Experts of one neuron, or one memory, each: a row of each of one to three tables. PEER, arXiv 2407.04153, section 2.1; Lample et al.,
// arXiv 1907.05242, equation 3.
//
//   y_t = Σ_m g_tm · e_{i_tm}(x_t)        e_i(x) = v_i   or   act(u_i·x)·v_i   or   act(w_i·x)·(u_i·x)·v_i
//
// Axes: T = tokens of the whole batch, D = model width, N = experts, M = experts of a token, over all heads.

using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Tables;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Experts;

/// <summary>
/// N experts that are one row of each table: <c>values</c>, or <c>down</c> (u), <c>gate</c> (w, only with a gate) and <c>up</c> (v), each
/// (N, D). The rows that a batch uses are read where they lie; nothing of the size tokens · experts of a token · D is made, forwards or
/// backwards.
/// </summary>
/// <remarks>
/// A step touches a few rows of many, so the tables' gradients are not in <c>grad</c>, which would be as large as the tables: autograd does
/// not know them as parameters that need one. The backward pass of <see cref="forward"/> hands them to this module, which keeps them in
/// <see cref="Gradient"/>, as <c>grad</c> does for a parameter: they add up until they are used and dropped.
/// <c>zero_grad</c> does not know of them; <see cref="ClearGradient"/> does it.
/// </remarks>
internal sealed class ExpertTables : nn.Module<Tensor, Tensor, Tensor, Tensor>, IHasOwnOptimizer, IRowSparseTables
{
    private readonly Parameter? down;
    private readonly Parameter? gate;
    private readonly Parameter? up;
    private readonly Parameter? values;

    /// <summary>Makes experts whose numbers are normal with mean 0 and variance 1/D, as the values of product-key memories.</summary>
    /// <param name="kind">What an expert computes.</param>
    /// <param name="experts">Number of experts N, at least 1.</param>
    /// <param name="width">Model width D.</param>
    /// <param name="activation">The activation; without effect for values.</param>
    /// <param name="options">How the tables are stored and trained.</param>
    /// <param name="device">Where the tables lie; CPU by default.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="InvalidOperationException">The tables do not fit into the memory that is available.</exception>
    public ExpertTables(
        ExpertKind kind, int experts, int width, NeuronActivation activation, ExpertTableOptions options, Device? device = null)
        : base(nameof(ExpertTables))
    {
        options.Validate();
        (Kind, Experts, Width, Activation, Options) = (kind, experts, width, activation, options);
        AvailableMemory.Require(
            checked(TableCount(kind) * options.TableBytes(experts, width)),
            $"{TableCount(kind)} table{(TableCount(kind) == 1 ? "" : "s")} of {experts:N0} experts of width {width} in {options.Precision}",
            device);
        if (kind == ExpertKind.Value)
        {
            values = Table(device);
        }
        else
        {
            down = Table(device);
            if (kind == ExpertKind.GatedNeuron)
                gate = Table(device);
            up = Table(device);
        }

        RegisterComponents();
    }

    /// <summary>What an expert computes.</summary>
    public ExpertKind Kind { get; }

    /// <summary>Number of experts N.</summary>
    public int Experts { get; }

    /// <summary>Model width D.</summary>
    public int Width { get; }

    /// <summary>The activation.</summary>
    public NeuronActivation Activation { get; }

    /// <summary>How the tables are stored and trained.</summary>
    public ExpertTableOptions Options { get; }

    /// <summary>The tables by name, each (N, D): those that tokens are multiplied with, then the one that is added up.</summary>
    public IReadOnlyList<KeyValuePair<string, Parameter>> Tables =>
        new[] { (nameof(down), down), (nameof(gate), gate), (nameof(up), up), (nameof(values), values) }
            .Where(table => table.Item2 is not null).Select(table => KeyValuePair.Create(table.Item1, table.Item2!)).ToArray();

    /// <summary>
    /// The gradient of all tables that backward passes have added up since it was last dropped; null for none. The module owns it.
    /// </summary>
    internal RowSparseGradient? Gradient { get; private set; }

    /// <inheritdoc/>
    int IRowSparseTables.Rows => Experts;

    /// <inheritdoc/>
    RowSparseGradient? IRowSparseTables.Gradient => Gradient;

    /// <summary>Drops the gradient.</summary>
    public void ClearGradient()
    {
        Gradient?.Dispose();
        Gradient = null;
    }

    /// <summary>Makes the optimizer of the tables, a row-sparse AdamW, whatever optimizer trains the other parameters.</summary>
    /// <param name="main">What trains the other parameters.</param>
    /// <param name="constants">Decay rates and ε.</param>
    /// <returns>A new optimizer.</returns>
    /// <exception cref="ArgumentException">The other parameters are trained by another optimizer, and the tables have no learning rate of
    /// their own (<see cref="ExpertTableOptions.LearningRate"/>).</exception>
    /// <exception cref="InvalidOperationException">Its moments do not fit into the memory that is available.</exception>
    public IOptimizer CreateOptimizer(OptimizerKind main, AdamConstants constants)
    {
        ArgumentNullException.ThrowIfNull(constants);
        Options.RequireRateBeside(main);
        return new RowSparseAdamW(this, constants.Beta1, constants.Beta2, constants.Epsilon);
    }

    /// <summary>Adds up the experts of every token, weighted by its gates.</summary>
    /// <param name="x_TD">Tokens, float32 (T, D). Values do not depend on them.</param>
    /// <param name="gates_TM">Gates, float32 (T, M).</param>
    /// <param name="ids_TM">Experts, int64 (T, M), each from 0 to N − 1 (checked on the CPU).</param>
    /// <returns>Float32 (T, D).</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit, or an expert does not exist.</exception>
    /// <exception cref="InvalidOperationException">The module was cast to another type than its options say, or is on another device than
    /// the tokens.</exception>
    public override Tensor forward(Tensor x_TD, Tensor gates_TM, Tensor ids_TM)
    {
        Check(x_TD, gates_TM, ids_TM);
        return x_TD.device_type == DeviceType.CPU ? ForwardManaged(x_TD, gates_TM, ids_TM) : ForwardByTorch(x_TD, gates_TM, ids_TM);
    }

    /// <summary>The tables where they lie, for many tokens one after the other; on the CPU. They stay as long as the result does.</summary>
    internal ExpertRows ToRows()
    {
        using var noGrad = no_grad();
        // Other handles of the same memory: whoever still reads keeps it when the module is disposed.
        Tensor[] all = [.. Tables.Select(table => table.Value.detach().DetachFromDisposeScope())];
        var relu = Activation == NeuronActivation.Relu;
        return new(
            Options.Precision == TablePrecision.BFloat16
                ? new ManagedExpertTables<BFloat16Rows>(all, relu)
                : new ManagedExpertTables<Float32Rows>(all, relu),
            Width);
    }

    /// <summary>The path for the CPU.</summary>
    internal Tensor ForwardManaged(Tensor x_TD, Tensor gates_TM, Tensor ids_TM)
    {
        var (all, relu) = (Tables.Select(table => (Tensor)table.Value).ToArray(), Activation == NeuronActivation.Relu);
        IExpertTablesKernel kernel =
            Options.Precision == TablePrecision.BFloat16
                ? new ManagedExpertTables<BFloat16Rows>(all, relu)
                : new ManagedExpertTables<Float32Rows>(all, relu);
        return ExpertTablesFunction.Apply(kernel, AddGradient, x_TD, gates_TM, ids_TM);
    }

    /// <summary>The path through libtorch's operators, for every device.</summary>
    internal Tensor ForwardByTorch(Tensor x_TD, Tensor gates_TM, Tensor ids_TM) =>
        ForwardByTorch(new TorchExpertTables(this), x_TD, gates_TM, ids_TM);

    /// <summary>The same with a kernel of the caller.</summary>
    internal Tensor ForwardByTorch(TorchExpertTables kernel, Tensor x_TD, Tensor gates_TM, Tensor ids_TM) =>
        ExpertTablesFunction.Apply(kernel, AddGradient, x_TD, gates_TM, ids_TM);

    /// <summary>How many tables experts of a kind have.</summary>
    internal static int TableCount(ExpertKind kind) => kind switch
    {
        ExpertKind.Value => 1,
        ExpertKind.Neuron => 2,
        ExpertKind.GatedNeuron => 3,
        _ => throw new ArgumentException($"{nameof(kind)} is {kind}; it must be one of {string.Join(", ", Enum.GetNames<ExpertKind>())}."),
    };

    /// <inheritdoc/>
    void IRowSparseTables.AddGradient(Tensor ids_TM, IReadOnlyList<RowFactors> factors) => AddGradient(ids_TM, factors);

    /// <summary>Drops the gradient with the module.</summary>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            ClearGradient();
        base.Dispose(disposing);
    }

    /// <inheritdoc cref="IRowSparseTables.AddGradient"/>
    internal void AddGradient(Tensor ids_TM, IReadOnlyList<RowFactors> factors) =>
        (Gradient ??= new RowSparseGradient(this)).Add(ids_TM, factors);

    private unsafe Parameter Table(Device? device)
    {
        using var _ = no_grad();
        var table_ND = empty([Experts, Width], Options.Precision == TablePrecision.BFloat16 ? bfloat16 : float32, device);
        var deviation = 1 / Math.Sqrt(Width);
        if (table_ND.device_type != DeviceType.CPU)
            return new Parameter(Draws.Normal(table_ND, 0, deviation), requires_grad: false);

        var (start, half, count) = (Draws.Integer(), Options.Precision == TablePrecision.BFloat16, table_ND.numel());
        WorkTeam.Run(get_num_threads(), team =>
        {
            var numbers = (byte*)Memory.Address(table_ND);
            if (half)
                NormalNumbers<BFloat16Rows>.Fill(team, numbers, count, (float)deviation, start);
            else
                NormalNumbers<Float32Rows>.Fill(team, numbers, count, (float)deviation, start);
        });
        return new Parameter(table_ND, requires_grad: false);
    }

    private void Check(Tensor x_TD, Tensor gates_TM, Tensor ids_TM)
    {
        if (x_TD.dim() != 2 || x_TD.shape[1] != Width || x_TD.dtype != float32)
            throw new ArgumentException(
                $"The tokens are {x_TD.dtype} ({string.Join(", ", x_TD.shape)}); Float32 (T, {Width}) is wanted.", nameof(x_TD));
        if (gates_TM.dim() != 2 || gates_TM.shape[0] != x_TD.shape[0] || gates_TM.dtype != float32)
            throw new ArgumentException(
                $"The gates are {gates_TM.dtype} ({string.Join(", ", gates_TM.shape)}); Float32 ({x_TD.shape[0]}, M) is wanted.",
                nameof(gates_TM));
        if (!ids_TM.shape.SequenceEqual(gates_TM.shape) || ids_TM.dtype != int64)
            throw new ArgumentException(
                $"The experts are {ids_TM.dtype} ({string.Join(", ", ids_TM.shape)}); Int64 ({string.Join(", ", gates_TM.shape)}) is "
                    + "wanted, as are the gates.",
                nameof(ids_TM));
        var stored = Options.Precision == TablePrecision.BFloat16 ? bfloat16 : float32;
        foreach (var (name, table) in Tables)
        {
            if (table.dtype != stored || table.device_type != x_TD.device_type)
                throw new InvalidOperationException(
                    $"Table '{name}' is {table.dtype} on {table.device}; {stored} on {x_TD.device} is wanted, as its options and the "
                        + "tokens are.");
        }

        if (ids_TM.device_type != DeviceType.CPU || ids_TM.numel() == 0)
            return;
        using var scope = NewDisposeScope();
        var (least, most) = (ids_TM.min().ReadInt64(), ids_TM.max().ReadInt64());
        if (least < 0 || most >= Experts)
            throw new ArgumentException(
                $"The tokens have experts from {least} to {most}; there are those from 0 to {Experts - 1}.", nameof(ids_TM));
    }
}
