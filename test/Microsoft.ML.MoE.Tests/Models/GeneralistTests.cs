using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Models;

[TestClass]
public sealed class GeneralistTests
{
    private static readonly TokenRole Picture = AttributeTable.Create(StandardRole.DescribedPicture, "caption", TokenModality.Image);
    private static readonly GeneralistTask Animals = new()
    {
        Name = "animals",
        Kind = GeneralistTaskKind.ImageClassification,
        ClassNames = ["cat", "dog", "owl"],
    };
    private static readonly TokenRole Description = AttributeTable.Create(StandardRole.Description, "caption", TokenModality.Text);

    [TestMethod]
    [DataRow(null)]
    [DataRow(RoutingLevel.Attribute)]
    [DataRow(RoutingLevel.Task)]
    [DataRow(RoutingLevel.Modality)]
    [DataRow(RoutingLevel.Token)]
    [DataRow(RoutingLevel.Context)]
    public void HasTheParametersThatItsConfigurationSaysAndTrainsThemAll(RoutingLevel? level)
    {
        TrainsThemAll(ConfigOf(level));
        TrainsThemAll(ConfigOf(level) with { Prompts = 3 });
    }

    private static void TrainsThemAll(GeneralistConfig config)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(5, CPU);
        using var model = config.Build();

        var described = model.Encode(model.EmbedDescribed(randn(3, 3, 4, 4), randint(0, 257, [3, 5], int64), Picture, Description));
        var video = model.Encode(model.EmbedVideos(randn([3, 3, 3, 4, 4]), Picture));
        var loss =
            model
                .Compare(described.Representation_ND(), video.Representation_ND(), GeneralistTaskKind.ImageCaption)
                .log_softmax(-1)
                .diagonal()
                .sum()
            + described.States_NLD.square().sum()
            + described.BalanceLoss;
        loss.backward();

        Assert.AreEqual(config.GetCost().Parameters, model.parameters().Sum(parameter => parameter.numel()));
        Assert.IsTrue(double.IsFinite(loss.ToDouble()));
        foreach (var (name, parameter) in model.named_parameters())
            Assert.IsNotNull(parameter.grad, name);
    }

    [TestMethod]
    public void DeployedSizesAreThePapers()
    {
        // Beside the paper's figures, which are given in millions: 124 + 6 · 7.0848 and 354 + 12 · 12.594, with the projection and
        // positions that only some counts include.
        Assert.AreEqual(167e6, GeneralistConfig.Base.GetDeployedParameters(2), 0.5e6);
        Assert.AreEqual(505e6, GeneralistConfig.Large.GetDeployedParameters(2), 1.5e6);
        Assert.AreEqual(6 * 7_084_800L, GeneralistConfig.Base.GetDeployedParameters(2) - GeneralistConfig.Base.GetDeployedParameters(1));
        Assert.AreEqual(
            12 * 12_592_128L, GeneralistConfig.Large.GetDeployedParameters(2) - GeneralistConfig.Large.GetDeployedParameters(1));
    }

    [TestMethod]
    [DataRow(RoutingLevel.Attribute)]
    [DataRow(RoutingLevel.Task)]
    [DataRow(RoutingLevel.Modality)]
    public void MergedExpertsGiveTheSameAndAreMadeOnce(RoutingLevel level)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(6, CPU);
        using var model = (ConfigOf(level) with { Prompts = 2 }).Build();
        model.eval();
        using var merged = new MergedExperts();
        var sequence = model.EmbedDescribed(randn(2, 3, 4, 4), randint(0, 257, [2, 4], int64), Picture, Description);

        var wanted = model.Encode(sequence).States_NLD;
        using var noGrad = no_grad();
        TensorAssert.AreClose(wanted, model.Encode(sequence, merged).States_NLD);
        TensorAssert.AreClose(wanted, model.Encode(sequence, merged).States_NLD);
        Assert.AreEqual(2 * 4 * (level == RoutingLevel.Task ? 1 : 2), merged.Count);   // 2 blocks, 4 layers, 2 roles, which are of one task
        model.train();
        Assert.ThrowsExactly<InvalidOperationException>(() => model.Encode(sequence, merged));
    }

    [TestMethod]
    public void MergedExpertsAreTheSameForTasksOfEqualAttributes_AndThoseOfManyOthersAreLetGo()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(6, CPU);
        using var model = (ConfigOf(RoutingLevel.Attribute) with { Attributes = ["a", "b", "c", "d"] }).Build();
        model.eval();
        using var noGrad = no_grad();
        using var merged = new MergedExperts();
        var words = randint(0, 257, [2, 4], int64);

        for (var task = 0; task < 10; task++)
            Compare(new TokenRole($"task {task}", TokenModality.Text, ["a", "b"]));
        Assert.AreEqual(2 * 4, merged.Count, "the router reads the attributes, not the name");

        var before = Tensor.TotalCount;
        for (var attributes = 0; attributes < 16; attributes++)
            Compare(
                new TokenRole(
                    "task",
                    TokenModality.Text,
                    [.. Enumerable.Range(0, 4).Where(bit => (attributes & (1 << bit)) != 0).Select(bit => "abcd"[bit].ToString())]));
        Assert.AreEqual(2 * 4 * 4, merged.Count, "as many as there are experts");
        Compare(new TokenRole("task", TokenModality.Text, ["a", "b"]));
        Assert.AreEqual(before + (2 * 2 * 4 * 3), Tensor.TotalCount, "a weight and a bias each; those that were let go are freed");

        void Compare(TokenRole role)
        {
            using var inner = NewDisposeScope();
            TensorAssert.AreClose(
                model.Encode(model.EmbedText(words, role)).States_NLD,
                model.Encode(model.EmbedText(words, role), merged).States_NLD,
                1e-5,
                role.ToString());
        }
    }

    [TestMethod]
    [DataRow(RoutingLevel.Attribute)]
    [DataRow(RoutingLevel.Token)]
    [DataRow(RoutingLevel.Context)]
    public void WordsToldAllAtOnceAreThoseToldOneByOne(RoutingLevel level)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(7, CPU);
        using var model = ConfigOf(level).Build();
        model.eval();
        var (images_NCHW, ids_NL) = (randn(2, 3, 4, 4), randint(0, 257, [2, 5], int64));

        var all_NLD = Told(ids_NL);

        for (var word = 0; word < 5; word++)
        {
            // Of the last word nothing may be seen: another stands there.
            var one_NLD = Told(cat([ids_NL.narrow(1, 0, word), full([2, 1], 9L, int64)], 1));
            TensorAssert.AreClose(all_NLD.select(1, word), one_NLD.select(1, word), 1e-5, $"word {word}");
        }

        Tensor Told(Tensor words_NL)
        {
            var states_NLD = model.Encode(model.EmbedDescribed(images_NCHW, words_NL, Picture, Description)).States_NLD;
            return states_NLD.narrow(1, states_NLD.shape[1] - words_NL.shape[1], words_NL.shape[1]);
        }
    }

    [TestMethod]
    public void ThePictureAndTheWordsDoNotSeeWhatIsAsked()
    {
        using var scope = NewDisposeScope();
        var mask_LL = Generalist.DescriptionMask(before: 1, length: 2, CPU);

        TensorAssert.AreEqual(
            [1, 0, 0, 0, 0,
             1, 1, 0, 0, 0,
             1, 1, 1, 0, 0,
             1, 0, 0, 1, 0,
             1, 1, 0, 0, 1],
            mask_LL);
    }

    [TestMethod]
    public void PaddingChangesNothing()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(8, CPU);
        foreach (var level in Enum.GetValues<RoutingLevel>())
        {
            using var model = ConfigOf(level).Build();
            model.eval();
            var ids_NL = randint(0, 257, [1, 3], int64);
            var padded_NL = cat([ids_NL, randint(0, 257, [1, 2], int64)], 1);

            var wanted_ND = model.Encode(model.EmbedText(ids_NL, Description)).Representation_ND();
            var found_ND = model
                .Encode(
                    model.EmbedText(
                        padded_NL,
                        Description,
                        tensor(
                            new[,]
                            {
                                { true, true, true, false, false },
                            }
                        )))
                .Representation_ND();

            TensorAssert.AreClose(wanted_ND, found_ND, 1e-5, level.ToString());
        }
    }

    public static IEnumerable<(string Name, RoutingLevel Level)> PresetsAtAllLevels =>
        GeneralistPresets.All.SelectMany(preset => Enum.GetValues<RoutingLevel>().Select(level => (preset.Name, level)));

    [TestMethod]
    [DynamicData(nameof(PresetsAtAllLevels))]
    public void WhatIsEncodedTogetherIsEncodedAsAlone(string name, RoutingLevel level)
    {
        int[] lengths = [5, 1, 9, 3];
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(11, CPU);
        using var model = (Shrunk(GeneralistPresets.All.Single(preset => preset.Name == name).Config, level) with { Prompts = 2 }).Build();
        model.eval();
        var texts_NL = randint(0, 50, [lengths.Length, 9], int64);
        var mask_NL = tensor(
            lengths.SelectMany(length => Enumerable.Range(0, 9).Select(place => place < length)).ToArray(), [lengths.Length, 9]);
        var hidden_NL = zeros([lengths.Length, 9], @bool);
        hidden_NL.narrow(1, 0, 1).fill_(true);
        var (images_NCHW, videos_NFCHW) = (randn(lengths.Length, 3, 4, 4), randn([lengths.Length, 2, 3, 4, 4]));

        // Of each kind the whole batch, and what stands for one of it alone; the places that count, from the end where words are told from
        // what stands behind them.
        Check(
            "text",
            model.EmbedText(texts_NL, Description, mask_NL),
            i => model.EmbedText(Text(i), Description),
            (i, states_LD) => states_LD.narrow(0, 0, lengths[i] + 1));
        Check(
            "masked text",
            model.EmbedText(texts_NL, Description, mask_NL, hidden_NL),
            i => model.EmbedText(Text(i), Description, null, hidden_NL.narrow(0, i, 1).narrow(1, 0, lengths[i])),
            (i, states_LD) => states_LD.narrow(0, 0, lengths[i] + 1));
        Check(
            "image",
            model.EmbedImages(images_NCHW, Picture),
            i => model.EmbedImages(images_NCHW.narrow(0, i, 1), Picture),
            (_, states_LD) => states_LD);
        Check(
            "video",
            model.EmbedVideos(videos_NFCHW, Picture),
            i => model.EmbedVideos(videos_NFCHW.narrow(0, i, 1), Picture),
            (_, states_LD) => states_LD);
        Check(
            "causal text",
            model.EmbedCausalText(texts_NL, Description, mask_NL),
            i => model.EmbedCausalText(Text(i), Description),
            Asked(before: 1));
        Check(
            "description",
            model.EmbedDescription(model.EmbedImages(images_NCHW, Picture), texts_NL, Description, mask_NL),
            i => model.EmbedDescription(model.EmbedImages(images_NCHW.narrow(0, i, 1), Picture), Text(i), Description),
            Asked(before: 5));

        Tensor Text(int i) => texts_NL.narrow(0, i, 1).narrow(1, 0, lengths[i]);

        // Behind what stands before the words, and the words, as many places again.
        Func<int, Tensor, Tensor> Asked(int before) =>
            (i, states_LD) => states_LD.narrow(0, before + ((states_LD.shape[0] - before) / 2), lengths[i]);

        void Check(string what, GeneralistSequence together, Func<int, GeneralistSequence> alone, Func<int, Tensor, Tensor> counted)
        {
            var states_NLD = model.Encode(together).States_NLD;
            for (var i = 0; i < lengths.Length; i++)
                TensorAssert.AreClose(counted(i, model.Encode(alone(i)).States_NLD[0]), counted(i, states_NLD[i]), 1e-4, $"{what} {i}");
        }
    }

    private static GeneralistConfig Shrunk(GeneralistConfig config, RoutingLevel level) =>
        config with
        {
            VocabularySize = 50,
            TextLength = 16,
            ImageHeight = 4,
            ImageWidth = 4,
            PatchSize = 2,
            Frames = 3,
            Blocks = 2,
            SparseBlocks = config.SparseBlocks is null ? null : BlockPositions.First(2),
            Tasks = ["caption"],
            Block = config.Block with
            {
                Width = 16,
                Heads = 2,
                FeedForwardWidth = 32,
                LayerScale = 0.5,
                Experts = config.Block.Experts is null ? null : 4,
                RoutingLevel = level,
            },
        };

    [TestMethod]
    public void PromptsAreSeenLikeTokensThatComeOutNowhere()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(9, CPU);
        using var block = new ConditionalBlock(GeneralistConfig.Nano.Block with { Experts = null }, dropPathProbability: 0);
        using var frozen = no_grad();
        block.eval();

        // Prompts are not normed; those of mean 0 and variance 1 are not changed by being normed, so that tokens of that kind stand for
        // them.
        var (x_NLD, prompts_PD) = (randn(2, 4, 16), nn.functional.layer_norm(randn(3, 16), [16]));
        var wanted_NLD = block
            .Apply(cat([prompts_PD.expand(2, 3, 16), x_NLD], 1), new SequenceContext(new SequenceLayout(new SequencePart(Picture, 7))))
            .Output_NLD.narrow(1, 3, 4);
        var layout = new SequenceLayout(new SequencePart(Picture, 4));
        TensorAssert.AreClose(wanted_NLD, block.Apply(x_NLD, new SequenceContext(layout), prompts_PD).Output_NLD, 1e-4);
        TensorAssert.AreClose(
            wanted_NLD, block.Apply(x_NLD, new SequenceContext(layout, Visible_NLL: ones([1, 4, 4], @bool)), prompts_PD).Output_NLD, 1e-4);
    }

    [TestMethod]
    public void ComparesByCosineOverTheTemperature()
    {
        using var scope = NewDisposeScope();
        using var model = GeneralistConfig.Nano.Build();
        var (x_ND, y_MD) = (
            tensor(
                new float[,]
                {
                    { 3, 4 },
                }
            ),
            tensor(
                new float[,]
                {
                    { 5, 0 },
                    { 0, 2 },
                }
            ));

        TensorAssert.AreClose(
            tensor(
                new[,]
                {
                    { 0.6 / 0.07, 0.8 / 0.07 },
                }
            ),
            model.Compare(x_ND, y_MD, GeneralistTaskKind.TextClassification));
        using (no_grad())
            model.named_parameters().Single(pair => pair.name == "logScales").parameter.fill_(9);
        TensorAssert.AreClose(tensor(new float[,] { { 60, 80 } }), model.Compare(x_ND, y_MD, GeneralistTaskKind.TextClassification));
    }

    [TestMethod]
    public void AHeadIsMixedIntoTheCosinesOfItsClasses()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(8, CPU);
        using var model = (GeneralistConfig.Nano with { Head = Animals }).Build();
        var weights = model.named_parameters().ToDictionary(pair => pair.name, pair => pair.parameter);
        var (scale, weight_CD, bias_C) = (weights["head.scale"], weights["head.linear.weight"], weights["head.linear.bias"]);
        var (x_ND, y_MD, factors_NM) = (randn(3, 16), randn(2, 16), randn(3, 2));
        var some = Animals with { Name = "other", ClassNames = ["owl", "cat"] };
        var cosines_NM = model.Compare(x_ND, y_MD, GeneralistTaskKind.ImageClassification).detach();

        // Zeros change nothing, not a digit.
        Assert.IsTrue(model.Classify(x_ND, y_MD, some).equal(cosines_NM).all().ToBoolean());

        using (no_grad())
        {
            scale.fill_(1.5);
            weight_CD.normal_();
            bias_C.normal_();
        }
        var logits_NM = model.Classify(x_ND, y_MD, some);
        var read_NC = x_ND.matmul(weight_CD.transpose(0, 1)) + bias_C;
        TensorAssert.AreClose((1.5 * cosines_NM) + stack([read_NC.select(1, 2), read_NC.select(1, 0)], 1), logits_NM, 1e-4);

        (factors_NM * logits_NM).sum().backward();
        TensorAssert.AreClose((factors_NM * cosines_NM).sum().view(1), scale.grad!, 1e-3);
        TensorAssert.AreClose(
            stack([factors_NM.select(1, 1).matmul(x_ND), zeros(16), factors_NM.select(1, 0).matmul(x_ND)]), weight_CD.grad!, 1e-4);
        TensorAssert.AreClose(stack([factors_NM.select(1, 1).sum(), zeros([]), factors_NM.select(1, 0).sum()]), bias_C.grad!, 1e-4);

        // Another kind, a class that the head does not have, and a task that has none of its own: the cosines alone.
        var texts_NM = model.Compare(x_ND, y_MD, GeneralistTaskKind.TextClassification);
        Assert.IsTrue(
            model.Classify(x_ND, y_MD, some with { Kind = GeneralistTaskKind.TextClassification }).equal(texts_NM).all().ToBoolean());
        Assert.IsTrue(model.Classify(x_ND, y_MD, some with { ClassNames = ["owl", "cow"] }).equal(cosines_NM).all().ToBoolean());
        Assert.IsTrue(model.Classify(x_ND, y_MD, some with { ClassNames = null }).equal(cosines_NM).all().ToBoolean());
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => model.Classify(x_ND, y_MD, Animals)).Message,
            "There are 2 candidates and 3 classes");
    }

    [TestMethod]
    public void AHeadIsDescribedCountedAndChecked()
    {
        using var scope = NewDisposeScope();
        var config = GeneralistConfig.Nano with { Head = Animals };
        using var model = config.Build();
        Assert.AreEqual(config.GetCost().Parameters, model.parameters().Sum(parameter => parameter.numel()));
        Assert.AreEqual(1 + (3 * 17), config.GetCost().Parameters - GeneralistConfig.Nano.GetCost().Parameters);
        CollectionAssert.AreEqual(Animals.ClassNames!.ToArray(), GeneralistConfig.FromJson(config.ToJson()).Head!.ClassNames!.ToArray());
        Assert.ThrowsExactly<ArgumentException>(() => (config with { Head = Animals with { ClassNames = null } }).Validate());
        Assert.ThrowsExactly<ArgumentException>(() =>
            (config with { Head = Animals with { Kind = GeneralistTaskKind.ImageCaption } }).Validate());
    }

    [TestMethod]
    public void LeavesNoTensorBehind()
    {
        using var outer = NewDisposeScope();
        using var model = GeneralistConfig.Nano.Build();
        var images_NCHW = randn(2, 3, 4, 4);
        Run();

        var before = LiveTensors.Count();
        Run();
        Assert.AreEqual(before, Tensor.TotalCount);

        void Run()
        {
            using var scope = NewDisposeScope();
            model.Encode(model.EmbedImages(images_NCHW, Picture)).States_NLD.square().sum().backward();
            model.zero_grad(set_to_none: true);
        }
    }

    [TestMethod]
    public void ConfigurationsAreWrittenAndRead()
    {
        foreach (var config in new[] { GeneralistConfig.Nano, GeneralistConfig.Tiny, GeneralistConfig.Base, GeneralistConfig.Large })
            Assert.AreEqual(config.ToJson(), GeneralistConfig.FromJson(config.ToJson()).ToJson());
        Assert.ThrowsExactly<InvalidDataException>(() => GeneralistConfig.FromJson("""{ "PatchSize": 0 }"""));
    }

    private static GeneralistConfig ConfigOf(RoutingLevel? level) => GeneralistConfig.Nano with
    {
        Tasks = ["caption"],
        Block = GeneralistConfig.Nano.Block with { Experts = level is null ? null : 4, RoutingLevel = level ?? default },
    };
}
