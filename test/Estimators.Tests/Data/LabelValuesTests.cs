using System.Globalization;
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
    [DataRow("+02:00")]
    [DataRow("-04:00")]
    [DataRow("+05:45")]
    [DataRow("+00:00")]
    public void ALocalTime_KeepsItsClockAndKind_WhereverItWasWritten(string offset)
    {
        var loaded = Times($"2024-07-01T00:00:00{offset}", $"0001-01-01T00:00:00.0000001{offset}");
        CollectionAssert.AreEqual(new[] { new DateTime(2024, 7, 1), new DateTime(1) }, loaded);
        Assert.IsTrue(loaded.All(time => time.Kind == DateTimeKind.Local));
    }

    [TestMethod]
    [DataRow(DateTimeKind.Local)]
    [DataRow(DateTimeKind.Utc)]
    [DataRow(DateTimeKind.Unspecified)]
    public void TimesOfEveryKind_KeepTicksAndKind(DateTimeKind kind)
    {
        DateTime[] times =
        [
            .. new[] { DateTime.MinValue, new(2024, 10, 27, 2, 30, 0), new(2024, 7, 1, 23, 59, 59, 120), DateTime.MaxValue }.Select(time =>
                DateTime.SpecifyKind(time, kind)),
        ];
        var loaded = ValuesOf<DateTime>(LabelValues.FromJson(Saved(times))!);
        CollectionAssert.AreEqual(
            times.Select(time => (time.Ticks, time.Kind)).ToArray(), loaded.Select(time => (time.Ticks, time.Kind)).ToArray());
    }

    [TestMethod]
    public void LabelsWrittenInAnotherZone_AreFound()
    {
        var written = LabelValues.FromJson(Json("DateTime", "2024-07-01T00:00:00+05:45", "2024-07-02T00:00:00+05:45"))!;
        var here = LabelValues.FromJson(
            Saved(DateTime.SpecifyKind(new(2024, 7, 2), DateTimeKind.Local), DateTime.SpecifyKind(new(2024, 7, 1), DateTimeKind.Local))
        )!;
        CollectionAssert.AreEqual(new[] { 1, 0 }, here.PositionsIn(written));
        CollectionAssert.AreEqual(new[] { 1, 0 }, written.PositionsIn(here));
        Assert.IsFalse(here.SameAs(written));
        Assert.IsTrue(here.SameAs(LabelValues.FromJson(here.ToJson())!));
    }

    [TestMethod]
    public void Values_AreTheSame_WhereDotNetTakesThemForEqual()
    {
        Assert.IsTrue(
            One(new DateTime(2024, 7, 1)).SameAs(One(new DateTime(2024, 7, 1, 0, 0, 0, DateTimeKind.Utc))),
            "a saved key mapping forgets the kind");
        Assert.IsTrue(
            One(new DateTimeOffset(2024, 7, 1, 2, 0, 0, TimeSpan.FromHours(2)))
                .SameAs(One(new DateTimeOffset(2024, 7, 1, 0, 0, 0, TimeSpan.Zero))));
        Assert.IsTrue(One(0.0).SameAs(One(-0.0)));
        Assert.IsTrue(One("a").SameAs(One("a")));
        Assert.IsFalse(One("a").SameAs(One("A")));
        Assert.IsFalse(One("1").SameAs(One(1)));
        Assert.IsFalse(One(1).SameAs(One(1L)));

        static LabelValues One<T>(T value) => LabelValues.FromJson(Saved(value))!;
    }

    [TestMethod]
    [DataRow("de-DE")]
    [DataRow("ar-SA")]
    [DataRow("th-TH")]
    public void WhatIsWritten_DependsOnNoCulture(string culture)
    {
        var before = CultureInfo.CurrentCulture;
        var wanted = Everything();
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo(culture);
            Assert.AreEqual(wanted, Everything());
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }

        static string Everything() => string.Concat(
            new[]
            {
                Saved(-1.5, double.NegativeInfinity), Saved(1e-30f), Saved(-7), Saved(true), Saved(new DateTime(2024, 7, 1, 13, 14, 15)),
                Saved(new DateTimeOffset(2024, 7, 1, 13, 14, 15, TimeSpan.FromHours(-9.5))), Saved(TimeSpan.FromDays(-1.25)),
            }.Select(json => json.ToJsonString() + string.Join(",", LabelValues.FromJson(json)!.ToTexts())));
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
    [DataRow("{\"type\": \"DateTime\", \"values\": [\"noon\"]}")]
    [DataRow("{\"type\": \"DateTime\", \"values\": [12]}")]
    public void BrokenJson_IsInvalidData(string json) =>
        Assert.ThrowsExactly<InvalidDataException>(() => LabelValues.FromJson(JsonNode.Parse(json)!.AsObject()));

    private static void Check<T>(params T[] values)
    {
        var loaded = LabelValues.FromJson(Saved(values))!;
        Assert.AreEqual(values.Length, loaded.Count);
        if (values is string[] texts)
            CollectionAssert.AreEqual(texts, ValuesOf<ReadOnlyMemory<char>>(loaded).Select(text => text.ToString()).ToArray());
        else
            CollectionAssert.AreEqual(values, ValuesOf<T>(loaded), typeof(T).Name);
    }

    // What a zip says of the classes that ML.NET makes of labels.
    private static JsonObject Saved<T>(params T[] values)
    {
        var ml = new MLContext();
        var data = ml.Data.LoadFromEnumerable(values.Select(value => new Row<T> { Label = value }));
        var keys = ml.Transforms.Conversion.MapValueToKey("Label").Fit(data).Transform(data);
        return JsonNode.Parse(LabelValues.From(keys.Schema["Label"])!.ToJson().ToJsonString())!.AsObject();
    }

    private static JsonObject Json(string type, params string[] values) =>
        new() { ["type"] = type, ["values"] = new JsonArray([.. values.Select(value => (JsonNode)value)]) };

    private static DateTime[] Times(params string[] texts) => ValuesOf<DateTime>(LabelValues.FromJson(Json("DateTime", texts))!);

    private static T[] ValuesOf<T>(LabelValues labels)
    {
        var annotations = new DataViewSchema.Annotations.Builder();
        labels.AddTo(annotations, "KeyValues");
        VBuffer<T> values = default;
        annotations.ToAnnotations().GetValue("KeyValues", ref values);
        return [.. values.DenseValues()];
    }

    private sealed class Row<T>
    {
        public T? Label { get; set; }
    }
}
