using System.Text.Json;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using ModelZoo;

namespace Estimators.Tests.Samples;

[TestClass]
public sealed class ModelZooTests
{
    private static readonly string[] Properties =
    [
        "name",
        "example",
        "parameters",
        "activeParameters",
        "forwardMacs",
        "forwardMilliseconds",
        "published",
        "note",
    ];

    [TestMethod]
    public void TheJson_IsAnArrayWithTheSamePropertiesForEveryModel()
    {
        using var json = JsonDocument.Parse(ModelZooTable.ToJson(ModelZooTable.Measure()));
        Assert.AreEqual(JsonValueKind.Array, json.RootElement.ValueKind);
        string[] names =
        [
            .. ImageClassifierPresets.All.Select(preset => preset.Name),
            .. LanguageModelPresets.All.Select(preset => preset.Name),
            .. TextEncoderPresets.All.Select(preset => preset.Name),
            .. GeneralistPresets.All.Select(preset => preset.Name),
        ];
        CollectionAssert.AreEqual(names, json.RootElement.EnumerateArray().Select(row => row.GetProperty("name").GetString()).ToArray());

        foreach (var row in json.RootElement.EnumerateArray())
        {
            var name = row.GetProperty("name").GetString();
            CollectionAssert.AreEqual(Properties, row.EnumerateObject().Select(property => property.Name).ToArray(), name);
            var parameters = row.GetProperty("parameters").GetInt64();
            var active = row.GetProperty("activeParameters").GetInt64();
            Assert.IsTrue(active > 0 && active <= parameters, name);
            Assert.IsGreaterThan(active, row.GetProperty("forwardMacs").GetInt64(), name);
            var note = row.GetProperty("note").GetString()!;
            Assert.IsFalse(string.IsNullOrWhiteSpace(note), name);
            // Else the note has the count to compare with.
            if (row.GetProperty("published").ValueKind != JsonValueKind.Null && !note.Contains("without", StringComparison.Ordinal))
                Assert.AreEqual(parameters / 1_000_000, row.GetProperty("published").GetInt32(), name);
        }

        var wideNet = json.RootElement.EnumerateArray().Single(row => row.GetProperty("name").GetString() == "widenet-b16");
        Assert.AreEqual((29_690_600, 29), (wideNet.GetProperty("parameters").GetInt32(), wideNet.GetProperty("published").GetInt32()));

        // 257 · 32 in, 257 · 33 out, 3 blocks of 4 · 32 · 33 + 2 · 64 and 2 · 32 · 128 + 128 + 32, a norm of 64: 54,881. In a block a
        // token costs 4 · 32 · 32, 32 · 33 and 2 · 32 · 128 multiply-adds.
        var nano = json.RootElement.EnumerateArray().Single(row => row.GetProperty("name").GetString() == "lm-nano-dense");
        Assert.AreEqual(
            (54_881, (257 * 32) + (3 * (4096 + 1056 + 8192)), "token"),
            (nano.GetProperty("parameters").GetInt32(), nano.GetProperty("forwardMacs").GetInt32(), nano.GetProperty("example").GetString()));
    }

    [TestMethod]
    public void GeneralistsHaveThePublishedSizes()
    {
        // What the paper counts when deployed is to the million; some counts leave out positions and the projection.
        foreach (var preset in GeneralistPresets.All.Where(preset => preset.Published is not null))
            Assert.AreEqual(preset.Published!.Value, preset.Config.GetDeployedParameters(2) / 1e6, 2, preset.Name);
    }

    [TestMethod]
    public void AForwardPass_IsTimedWhereItIsAskedFor()
    {
        var rows = ModelZooTable.Measure(name => name is "widenet-tiny" or "lm-nano-peer").ToArray();
        CollectionAssert.AreEqual(
            new[] { "widenet-tiny", "lm-nano-peer" }, rows.Where(row => row.ForwardMilliseconds > 0).Select(row => row.Name).ToArray());
        Assert.AreEqual(2, rows.Count(row => row.ForwardMilliseconds is not null));
    }
}
