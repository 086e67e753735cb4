using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Classification;

/// <summary>Images that would spoil a model, or its scores, without a word.</summary>
[TestClass]
public sealed class StrangeImagesTests
{
    private readonly MLContext ml = new(seed: 1);
    private readonly LogMessages log;

    public StrangeImagesTests() => log = new LogMessages(ml);

    [TestMethod]
    public void PicturesThatMlNetHasDisposed_AreAnError()
    {
        // To the size that they have: ResizeImages gives the caller's own pictures on, and disposes each when it is asked for the next.
        var rows = Colours.WithKeys(ml, Colours.Pictures(24));
        var resized = ml.Transforms.ResizeImages("Features", 10, 12).Fit(rows).Transform(rows);
        using var model = Colours.Trainer(ml, Options()).Fit(resized);

        var scored = model.Transform(resized);
        foreach (var read in new Action[]
        {
            () => Assert.IsEmpty(scored.GetColumn<float[]>("Score")),
            () => Colours.Trainer(ml, Options()).Fit(resized),
            () => Colours.Trainer(ml, Options()).Fit(rows),
        })
        {
            var error = Assert.ThrowsExactly<ObjectDisposedException>(read);
            StringAssert.Contains(error.Message, "'Features' have been disposed");
            StringAssert.Contains(error.Message, "ResizeImages");
        }

        var streaming = Options();
        (streaming.CacheInMemory, streaming.Epochs) = (false, 3);
        var fresh = Colours.WithKeys(ml, Colours.Pictures(24));
        var freshResized = ml.Transforms.ResizeImages("Features", 10, 12).Fit(fresh).Transform(fresh);
        Assert.ThrowsExactly<ObjectDisposedException>(() => Colours.Trainer(ml, streaming).Fit(freshResized));
    }

    [TestMethod]
    public void NoRows_AndNoLabels_AreSaid()
    {
        IDataView View(IEnumerable<ColourRow> rows)
        {
            var view = ml.Data.LoadFromEnumerable(rows);
            return ml.Transforms.Conversion.MapValueToKey("Label").Fit(view).Transform(view);
        }

        var trainer = Colours.Trainer(ml, Options());
        StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => trainer.Fit(View([]))).Message, "have no rows");
        var unlabelled = Colours.Rows(5);
        unlabelled.ForEach(row => row.Label = null);
        StringAssert.Contains(
            Assert.ThrowsExactly<InvalidOperationException>(() => trainer.Fit(View(unlabelled))).Message,
            "all 5 have no label in column 'Label'");
    }

    [TestMethod]
    public void PixelsInOtherUnits_AreWarnedOfOnce()
    {
        var rows = Colours.WithKeys(ml, Colours.Rows(40));
        using var model = Colours.Trainer(ml, Options()).Fit(rows);
        _ = model.Transform(rows).GetColumn<float[]>("Score").ToArray();
        Assert.IsEmpty(log.TakeWarnings(), "those that it was trained on");

        using var other = Colours.Trainer(ml, Options()).Fit(rows);
        log.TakeWarnings();
        var small = Colours.Rows(40);
        small.ForEach(row => row.Features = Array.ConvertAll(row.Features!, number => number / 255));
        var scaled = other.Transform(Colours.WithKeys(ml, small));
        for (var pass = 0; pass < 2; pass++)
        {
            _ = scaled.GetColumn<float[]>("Score").ToArray();
            var warnings = log.TakeWarnings();
            Assert.HasCount(pass == 0 ? 1 : 0, warnings);
            if (pass == 0)
                StringAssert.Contains(warnings[0], "The pixels of the first 16 images to score have the mean");
        }
    }

    private static WideNetImageClassifier.Options Options()
    {
        var options = Colours.Options();
        (options.ImageHeight, options.ImageWidth) = (8, 8);
        return options;
    }
}
