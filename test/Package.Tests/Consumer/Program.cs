using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using TorchSharp;
using static TorchSharp.torch;

TorchRuntime.Initialize();

var config = WideNetConfig.Tiny;
using var model = config.Build();
using var optimizer = optim.AdamW(model.parameters());
using var images = rand(2, config.Channels, config.ImageHeight, config.ImageWidth);
using var labels = tensor(new long[] { 0, 1 });

var output = model.forward(images);
var loss = nn.functional.cross_entropy(output.Logits_NC, labels) + output.AuxiliaryLoss;
loss.backward();
optimizer.step();

using (var file = File.Create("model.safetensors"))
    ModuleWeights.Save(model, file);

using var loaded = config.Build();
using (var file = File.OpenRead("model.safetensors"))
    ModuleWeights.Load(loaded, file, file.Length);

model.eval();
loaded.eval();
var before = model.forward(images);
var after = loaded.forward(images);
var same = before.Logits_NC.equal(after.Logits_NC).all().item<bool>();
Console.WriteLine(same ? "reloaded: same scores" : "reloaded: other scores");
return same ? 0 : 1;
