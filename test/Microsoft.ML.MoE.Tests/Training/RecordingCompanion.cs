using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>Notes the value of a scalar after every update.</summary>
internal sealed class RecordingCompanion(ScalarModule model, string name = "recorder") : ITrainingCompanion
{
    public List<(int Update, int Total, float Value)> Calls { get; } = [];

    public string Name => name;

    public IReadOnlyDictionary<string, Tensor> State { get; } = new Dictionary<string, Tensor>();

    public void Restore(IReadOnlyDictionary<string, Tensor> state) => Assert.AreEqual(0, state.Count);

    public void AfterUpdate(int update, int totalUpdates) => Calls.Add((update, totalUpdates, model.Value.item<float>()));
}
