using System.Text.Json.Nodes;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Data;

[TestClass]
public sealed class LabelValuesTests
{
    [TestMethod]
    public void EveryTypeOfLabel_ComesBackFromJson()
    {
        Check("cat", "dog", "\"quoted\" ☃");
        Check(true, false);
        Check<sbyte>(-1, 2);
        Check<byte>(1, 2);
        Check<short>(-1, 2);
        Check<ushort>(1, 2);
        Check(-1, int.MaxValue);
        Check(1u, uint.MaxValue);
        Check(long.MinValue, 1L);
        Check(1ul, ulong.MaxValue);
        Check(0.1f, float.Epsilon);
        Check(0.1, double.PositiveInfinity);
        Check(new DateTime(2020, 2, 29, 1, 2, 3), DateTime.UnixEpoch);
        Check(new DateTimeOffset(2020, 2, 29, 1, 2, 3, TimeSpan.FromHours(-5)), DateTimeOffset.UnixEpoch);
        Check(TimeSpan.FromTicks(12345), TimeSpan.Zero);
    }

    [TestMethod]
    public void AKeyWithoutValues_HasNone()
    {
        var builder = new DataViewSchema.Builder();
        builder.AddColumn("Label", new KeyDataViewType(typeof(uint), 3));
        Assert.IsNull(LabelValues.From(builder.ToSchema()["Label"]));
        Assert.IsNull(LabelValues.FromJson(null));
    }

    [TestMethod]
    [DataRow("{}")]
    [DataRow("{\"type\": \"Colour\", \"values\": []}")]
    [DataRow("{\"type\": \"Int32\"}")]
    [DataRow("{\"type\": \"Int32\", \"values\": [\"one\"]}")]
    [DataRow("{\"type\": \"Text\", \"values\": 7}")]
    [DataRow("{\"type\": 7, \"values\": []}")]
    public void BrokenJson_IsInvalidData(string json) =>
        Assert.ThrowsExactly<InvalidDataException>(() => LabelValues.FromJson(JsonNode.Parse(json)!.AsObject()));

    private static void Check<T>(params T[] values)
    {
        var ml = new MLContext();
        var data = ml.Data.LoadFromEnumerable(values.Select(value => new Row<T> { Label = value }));
        var keys = ml.Transforms.Conversion.MapValueToKey("Label").Fit(data).Transform(data);
        var saved = LabelValues.From(keys.Schema["Label"])!.ToJson().ToJsonString();

        var loaded = LabelValues.FromJson(JsonNode.Parse(saved)!.AsObject())!;
        Assert.AreEqual(values.Length, loaded.Count);
        var annotations = new DataViewSchema.Annotations.Builder();
        loaded.AddTo(annotations, "KeyValues");
        Assert.AreEqual(Text(keys.Schema["Label"].Annotations), Text(annotations.ToAnnotations()), typeof(T).Name);
    }

    private static string Text(DataViewSchema.Annotations annotations)
    {
        var type = annotations.Schema["KeyValues"].Type;
        var get = typeof(LabelValuesTests).GetMethod(nameof(ValuesOf), System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.NonPublic)!;
        return type + ": " + get.MakeGenericMethod(((VectorDataViewType)type).ItemType.RawType).Invoke(null, [annotations]);
    }

    private static string ValuesOf<T>(DataViewSchema.Annotations annotations)
    {
        VBuffer<T> values = default;
        annotations.GetValue("KeyValues", ref values);
        return string.Join("|", values.DenseValues().Select(v => FormattableString.Invariant($"{v}")));
    }

    private sealed class Row<T>
    {
        public T? Label { get; set; }
    }
}
