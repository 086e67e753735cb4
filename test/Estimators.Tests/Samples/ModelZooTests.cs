using System.Text.Json;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using ModelZoo;

namespace Estimators.Tests.Samples;

[TestClass]
public sealed class ModelZooTests
{
    private static readonly string[] Properties = ["name", "parameters", "activeParameters", "forwardMacs", "published", "note"];

    [TestMethod]
    public void TheJson_IsAnArrayWithTheSamePropertiesForEveryModel()
    {
        using var json = JsonDocument.Parse(ModelZooTable.ToJson(ModelZooTable.Measure()));
        Assert.AreEqual(JsonValueKind.Array, json.RootElement.ValueKind);
        CollectionAssert.AreEqual(ImageClassifierPresets.All.Select(preset => preset.Name).ToArray(), json.RootElement.EnumerateArray().Select(row => row.GetProperty("name").GetString()).ToArray());

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
            if (row.GetProperty("published").ValueKind != JsonValueKind.Null && !note.Contains("without", StringComparison.Ordinal))   // else the note has the count to compare with
                Assert.AreEqual(parameters / 1_000_000, row.GetProperty("published").GetInt32(), name);
        }

        var wideNet = json.RootElement.EnumerateArray().Single(row => row.GetProperty("name").GetString() == "widenet-b16");
        Assert.AreEqual((29_690_600, 29), (wideNet.GetProperty("parameters").GetInt32(), wideNet.GetProperty("published").GetInt32()));
    }
}
