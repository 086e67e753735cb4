using System.Collections.Concurrent;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Routing;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Scoring.Contract;

/// <summary>
/// A row has one answer, whoever asks: alone or among others, wherever a view begins, in a block or row by row, by a data view or a
/// prediction engine, whichever columns are read and in which order, and however often.
/// </summary>
[TestClass]
public sealed class ScoringContractTests
{
    private static readonly MLContext Ml = new(seed: 1);
    private static readonly ConcurrentDictionary<string, (ScoringCase Case, Dictionary<string, object[]> Alone)> Made = [];
    private const string Tight = " that leaves choices out";
    private const string ByContext = " routed by context";
    // Without embedding too.
    private static readonly string[] Families = ["widenet-tiny", "vit-moe-tiny", "sparse-mlp-tiny", "mixer-tiny"];
    // Each by a router that looks at the words or patches, too.
    private static readonly string[] Routed = ["colour", "pair", "masked", "caption"];
    private static readonly ConcurrentDictionary<RoutingLevel, GeneralistTransformer> Generalists = [];

    public static IEnumerable<string> All =>
    [
        .. ScoringCases.Images.Select(preset => $"{preset} with embedding"), .. Families, "pictures",
        .. ScoringCases.LanguageModels, .. ScoringCases.Tasks.Select(task => $"task {task}"),
        .. ScoringCases.Tight.Select(preset => $"{preset}{Tight}"), .. Routed.Select(task => $"task {task}{ByContext}"),
    ];

    [ClassCleanup]
    public static void Free()
    {
        foreach (var (one, _) in Made.Values)
            one.Dispose();
    }

    [TestMethod]
    [DynamicData(nameof(All))]
    public void TheRows_HaveAnswersThatTellThemApart(string name)
    {
        var (one, alone) = Get(name);
        foreach (var (column, values) in alone)
            Assert.IsGreaterThan(
                1,
                values.Select(Text).Distinct().Count(),
                $"{column}: else the other tests would not see one row's answer in another's place");
        Assert.AreEqual(one.Count, alone.First().Value.Length);

        static string Text(object value) => value is float[] numbers ? string.Join(' ', numbers) : value.ToString()!;
    }

    [TestMethod]
    public void PlacesAreScarce_WhereChoicesAreLeftOut()
    {
        var (one, _) = Get($"widenet-tiny{Tight}");
        var load = ((ImageClassificationTransformer)one.Model).GetExpertLoad(Colours.WithKeys(Ml, Colours.Rows(one.Count)));
        Assert.IsGreaterThan(0, load.Total.Sum(operation => operation.Dropped));
    }

    [TestMethod]
    [DynamicData(nameof(All))]
    public void APredictionEngine_AnswersEveryRow_WhicheverColumnsAreReadFirst(string name)
    {
        var (one, alone) = Get(name);
        foreach (var order in Orders(one.Added(Ml)))
            Check(alone, order, one.Predict(Ml, order), 0, "engine");
    }

    [TestMethod]
    [DynamicData(nameof(All))]
    public void AView_AnswersEveryRow_WhicheverColumnsAreReadFirst(string name)
    {
        var (one, alone) = Get(name);
        var scored = one.Model.Transform(one.View(Ml, 0, one.Count));
        foreach (var order in Orders(one.Added(Ml)))
            Check(alone, order, ColumnValues.Of(scored, order), 0, "view");
    }

    [TestMethod]
    [DynamicData(nameof(All))]
    public void ReadRowByRow_EveryRowIsAnswered_WhicheverColumnsAreReadFirst(string name)
    {
        // A column of pictures cannot be read ahead. Where the rows have none of their own, each gets one.
        var (one, alone) = Get(name);
        var view = one.View(Ml, 0, one.Count);
        const string Picture = "APicture";
        using var image = MLImage.CreateFromPixels(1, 1, MLPixelFormat.Bgra32, new byte[4]);
        var withPicture = Ml
            .Transforms.CustomMapping<Empty, WithPicture>((_, output) => output.APicture = image, contractName: null)
            .Fit(view)
            .Transform(view);
        var scored = one.Model.Transform(withPicture);
        foreach (var order in Orders(one.Added(Ml)))
            Check(alone, order, ColumnValues.Of(scored, order, Picture), 0, "row by row");
    }

    [TestMethod]
    [DynamicData(nameof(All))]
    public void ARow_IsAnsweredAlike_WhereverTheViewBegins(string name)
    {
        var (one, alone) = Get(name);
        var columns = one.Added(Ml);
        for (var start = 0; start < one.Count; start += 2)
            Check(
                alone, columns, ColumnValues.Of(one.Model.Transform(one.View(Ml, start, one.Count)), columns), start, $"from row {start}");
    }

    [TestMethod]
    [DynamicData(nameof(All))]
    public void ASecondPass_ASecondGetter_AndASecondCall_GiveTheSame(string name)
    {
        var (one, alone) = Get(name);
        var columns = one.Added(Ml);
        string[] twice = [.. columns, .. columns];
        var scored = one.Model.Transform(one.View(Ml, 0, one.Count));
        Check(alone, twice, ColumnValues.Of(scored, twice), 0, "two getters");
        Check(alone, columns, ColumnValues.Of(scored, columns), 0, "second pass");

        using var cursor = scored.GetRowCursor(scored.Schema.Where(column => columns.Contains(column.Name)));
        var readers = Array.ConvertAll(columns, column => ColumnValues.Reader(cursor, column));
        for (var row = 0; cursor.MoveNext(); row++)
        {
            if (row % 2 == 0)
                continue;   // rows that nobody asks about
            for (var call = 0; call < 2; call++)
                Check(alone, columns, [Array.ConvertAll(readers, read => read())], row, $"call {call}");
        }
    }

    [TestMethod]
    [DynamicData(nameof(All))]
    public void TwoPassesAtOnce_GiveTheSame(string name)
    {
        var (one, alone) = Get(name);
        var columns = one.Added(Ml);
        var scored = one.Model.Transform(one.View(Ml, 0, one.Count));
        using var first = scored.GetRowCursor(scored.Schema.Where(column => columns.Contains(column.Name)));
        var readers = Array.ConvertAll(columns, column => ColumnValues.Reader(first, column));
        Assert.IsTrue(first.MoveNext() && first.MoveNext());
        Check(alone, columns, ColumnValues.Of(scored, columns), 0, "the other pass");
        Check(alone, columns, [Array.ConvertAll(readers, read => read())], 1, "the pass that waited");
    }

    private static void Check(Dictionary<string, object[]> alone, string[] columns, object[][] found, int start, string how)
    {
        Assert.IsNotEmpty(found, how);
        for (var row = 0; row < found.Length; row++)
        {
            for (var column = 0; column < columns.Length; column++)
                ColumnValues.AssertSame(
                    alone[columns[column]][start + row],
                    found[row][column],
                    $"{how}, [{string.Join(", ", columns)}], {columns[column]} of row {start + row}");
        }
    }

    // Each column alone, each two in both orders, and all in the orders that begin with each and go up or down.
    private static IEnumerable<string[]> Orders(string[] columns)
    {
        var orders = columns
            .Select(one => new[] { one })
            .Concat(columns.SelectMany(one => columns.Where(other => other != one).Select(other => new[] { one, other })));
        if (columns.Length > 2)
        {
            var rotated = Enumerable.Range(0, columns.Length).Select(first => columns[first..].Concat(columns[..first]).ToArray());
            orders = orders.Concat(rotated.SelectMany(order => new[] { order, [.. order.Reverse()] }));
        }
        return orders;
    }

    // What each row gets where it is the only one of its view, and the column the only one that is read.
    private static (ScoringCase Case, Dictionary<string, object[]> Alone) Get(string name) => Made.GetOrAdd(name, _ =>
        {
            var one = Create(name);
            var alone = one.Added(Ml)
                .ToDictionary(
                    column => column,
                    column =>
                        Enumerable
                            .Range(0, one.Count)
                            .Select(row => ColumnValues.Of(one.Model.Transform(one.View(Ml, row, 1)), [column])[0][0])
                            .ToArray());
            return (one, alone);
        });

    private static ScoringCase Create(string name)
    {
        if (name == "pictures")
            return ScoringCases.Pictures(Ml);
        if (name.StartsWith("task ", StringComparison.Ordinal))
        {
            var byContext = name.EndsWith(ByContext, StringComparison.Ordinal);
            var model = byContext
                ? Generalists.GetOrAdd(RoutingLevel.Context, level => ScoringCases.Generalist(Ml, level, Routed))
                : Generalists.GetOrAdd(RoutingLevel.Attribute, level => ScoringCases.Generalist(Ml, level, [.. ScoringCases.Tasks]));
            return ScoringCases.Generalist(model, name["task ".Length..].Replace(ByContext, "", StringComparison.Ordinal));
        }

        var (preset, capacity) = (name.Split(' ')[0], name.EndsWith(Tight, StringComparison.Ordinal) ? new ExpertCapacity(1) : null);
        return preset.StartsWith("lm-", StringComparison.Ordinal)
            ? ScoringCases.LanguageModel(Ml, preset, capacity)
            : ScoringCases.Image(Ml, preset, withEmbedding: name.EndsWith("with embedding", StringComparison.Ordinal), capacity);
    }

    private sealed class Empty
    {
    }

    private sealed class WithPicture
    {
        [Microsoft.ML.Transforms.Image.ImageType(1, 1)]
        public MLImage? APicture { get; set; }
    }
}
