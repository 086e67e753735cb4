using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Weights;

[TestClass]
public sealed class ModuleWeightsTests
{
    /// <summary>One linear layer used by two blocks, a BatchNorm with its buffers, and a buffer that does not belong in a file.</summary>
    private sealed class SharingModule : nn.Module<Tensor, Tensor>
    {
        private readonly ModuleList<nn.Module<Tensor, Tensor>> blocks;
        private readonly BatchNorm1d norm;

        public SharingModule(int width = 3)
            : base(nameof(SharingModule))
        {
            var shared = nn.Linear(width, width);
            blocks = nn.ModuleList<nn.Module<Tensor, Tensor>>(shared, shared);
            norm = nn.BatchNorm1d(width);
            register_buffer("scratch", zeros(2), persistent: false);
            RegisterComponents();
        }

        public override Tensor forward(Tensor input) => norm.forward(blocks[1].forward(blocks[0].forward(input)));
    }

    private static byte[] Save(nn.Module module)
    {
        using var stream = new MemoryStream();
        ModuleWeights.Save(module, new ForwardOnlyStream(stream));
        return stream.ToArray();
    }

    private static Dictionary<string, Tensor> Snapshot(nn.Module module) =>
        ModuleWeights.Collect(module).ToDictionary(t => t.Key, t => t.Value.detach().clone());

    private static void AssertSame(IReadOnlyDictionary<string, Tensor> expected, IReadOnlyDictionary<string, Tensor> actual)
    {
        CollectionAssert.AreEqual(expected.Keys.ToArray(), actual.Keys.ToArray());
        foreach (var (name, value) in expected)
            Assert.IsTrue(value.equal(actual[name]).all().item<bool>(), name);
    }

    [TestMethod]
    public void Collect_ListsASharedModuleOnce()
    {
        using var module = new SharingModule();
        var names = ModuleWeights.Collect(module).Keys.ToArray();

        Assert.Contains("blocks.1.weight", module.state_dict().Keys, "the case that this test is about");
        CollectionAssert.AreEqual(
            new[]
            {
                "blocks.0.weight",
                "blocks.0.bias",
                "norm.weight",
                "norm.bias",
                "norm.num_batches_tracked",
                "norm.running_mean",
                "norm.running_var",
            },
            names.Take(4).Concat(names.Skip(4).Order(StringComparer.Ordinal)).ToArray());
    }

    [TestMethod]
    public void Load_RestoresEveryTensor_AndWhatTheModuleComputes()
    {
        using var scope = NewDisposeScope();
        using var source = new SharingModule();
        using var target = new SharingModule();
        var x_ND = ones(4, 3) * arange(4).unsqueeze(1);
        source.train();
        source.forward(x_ND);   // moves the running statistics off their start
        source.eval();
        target.eval();

        var file = Save(source);
        ModuleWeights.Load(target, new ForwardOnlyStream(new MemoryStream(file)), file.Length);

        AssertSame(ModuleWeights.Collect(source), ModuleWeights.Collect(target));
        Assert.IsTrue(source.forward(x_ND).equal(target.forward(x_ND)).all().item<bool>());
        Assert.IsTrue(target.parameters().All(p => p.requires_grad && p.is_leaf), "parameters stay trainable leaves");
    }

    [TestMethod]
    public void Save_IsDeterministic()
    {
        using var module = new SharingModule();
        CollectionAssert.AreEqual(Save(module), Save(module));
    }

    [TestMethod]
    public void Load_OfOtherTensors_NamesTheFirstThatDiffers_AndLeavesTheModule()
    {
        using var scope = NewDisposeScope();
        using var module = new SharingModule();
        var before = Snapshot(module);
        var good = Snapshot(module);

        AssertRejected(t => t.Remove("norm.bias"), "'norm.bias': the module has it, the file does not");
        AssertRejected(t => t["extra"] = zeros(1), "'extra': the file has it, the module does not");
        AssertRejected(t => t["norm.bias"] = zeros(4), "'norm.bias': the file has F32[4], the module F32[3]");
        AssertRejected(t => t["norm.bias"] = zeros(1, 3), "'norm.bias': the file has F32[1, 3], the module F32[3]");
        AssertRejected(t => t["norm.bias"] = zeros(3, dtype: ScalarType.BFloat16), "'norm.bias': the file has BF16[3], the module F32[3]");

        void AssertRejected(Action<Dictionary<string, Tensor>> change, string message)
        {
            var tensors = new Dictionary<string, Tensor>(good);
            foreach (var name in tensors.Keys.Where(n => n.StartsWith("blocks", StringComparison.Ordinal)).ToArray())
                tensors[name] = zeros_like(tensors[name]);
            change(tensors);
            using var stream = new MemoryStream();
            SafeTensors.Write(stream, tensors);
            stream.Position = 0;

            var error = Assert.ThrowsExactly<InvalidDataException>(() => ModuleWeights.Load(module, stream, stream.Length));
            StringAssert.Contains(error.Message, message);
            AssertSame(before, ModuleWeights.Collect(module));
        }
    }

    [TestMethod]
    public void Load_OfAFileCutAtAnyByte_ThrowsInvalidDataAndLeavesTheModule()
    {
        using var scope = NewDisposeScope();
        using var source = new SharingModule();
        using var target = new SharingModule();
        var before = Snapshot(target);
        var file = Save(source);

        for (var length = 0; length < file.Length; length += 3)
        {
            var cut = file[..length];
            Assert.ThrowsExactly<InvalidDataException>(() =>
                ModuleWeights.Load(target, new ForwardOnlyStream(new MemoryStream(cut)), file.Length));
        }

        AssertSame(before, ModuleWeights.Collect(target));
    }

    [TestMethod]
    public void Load_LeavesNoTensorBehind()
    {
        using var source = new SharingModule();
        var file = Save(source);
        ModuleWeights.Load(source, new MemoryStream(file), file.Length);

        using var scope = NewDisposeScope();
        ModuleWeights.Load(source, new MemoryStream(file), file.Length);
        Save(source);
        Assert.AreEqual(0, scope.DisposablesCount);
    }
}
