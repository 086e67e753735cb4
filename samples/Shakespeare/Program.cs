// PEER on tiny Shakespeare: a language model on characters, trained for three minutes, saved, and used from another process.
//
//     dotnet run -c Release --project samples/Shakespeare
//     dotnet run -c Release --project samples/Shakespeare -- compare               dense, PKM, MoE and PEER models beside each other, at nanoGPT's steps
//     dotnet run -c Release --project samples/Shakespeare -- compare --minutes 3   the same at equal time

using System.CommandLine;
using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Samples;
using Shakespeare;
using Shakespeare.Comparison;

// The learning rate was chosen on the last tenth of the training part (1e-3, 2e-3, 4e-3 and 8e-3 gave 2.08, 1.95, 2.06 and 2.21 after 600
// steps). The validation part only measures.
const string ModelFile = "model.zip";
const string ContinueCommand = "continue";

var command = new RootCommand("Trains a language model of characters for three minutes, saves it, and goes on writing in another process.")
{
    ComparisonCommand.Create(), Arguments.SecondProcess(ContinueCommand, prompt => Playwright.RunAsync(ModelFile, prompt)),
};
command.SetAction((_, _) => TrainAsync());
return await Arguments.RunAsync(command, args);

static async Task<int> TrainAsync()
{
    var mlContext = new MLContext(seed: 1);
    var data = mlContext.Data.LoadFromEnumerable([ShakespeareText.Read().Training]);
    using var model = TrainingDisplay.Show(
        progress => mlContext.Transforms.Text.PeerLanguageModel(new PeerLanguageModel.Options
        {
            Tokenizer = TokenizerOptions.Characters,
            Architecture = LanguageModelConfig.Small with
            {
                SparseLayer = new PeerOptions { Experts = 64 * 64, Heads = 4, ExpertsPerHead = 8, QueryWidth = 64 },
                ContextLength = 64,
            },
            BatchSize = 12,
            LearningRate = 2e-3,
            Epochs = 100,   // the time ends training, not their number
            MaxTime = TimeSpan.FromMinutes(3),
            Progress = progress,
        }).Fit(data),
        "tokens");

    Console.WriteLine();
    var end = await Playwright.WriteAsync(model, "ROMEO:\n");
    mlContext.Model.Save(model, data.Schema, ModelFile);
    Console.WriteLine($"\nsaved {ModelFile}, {new FileInfo(ModelFile).Length / 1024:N0} KB; going on in another process\n");

    using var process = Process.Start(
        SameProgram.With(Environment.ProcessPath!, typeof(Playwright).Assembly.Location, ContinueCommand, end)
    )!;
    process.WaitForExit();
    return process.ExitCode;
}
