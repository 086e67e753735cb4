using FashionMnist;

var directory = args is ["--data", var given] ? given : FashionMnistData.ShippedDirectory;
foreach (var (name, images) in new[] { ("training", FashionMnistData.ReadTrain(directory)), ("test", FashionMnistData.ReadTest(directory)) })
    Console.WriteLine($"{images.Count} {name} images: {string.Join(", ", images.CountBy(i => i.Label).OrderBy(c => c.Key).Select(c => $"{c.Value} {c.Key}"))}");
