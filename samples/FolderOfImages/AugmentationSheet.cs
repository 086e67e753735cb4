// Draws a contact sheet of what augmentations do to pictures: a row for each, a column for each picture.
//
//     dotnet run samples/FolderOfImages/AugmentationSheet.cs -- FOLDER-WITH-PICTURES SHEET.png [SIDE]
//
// Takes the first twelve pictures of the folder and its folders, in an order that mixes them; SIDE is the pixels of a picture's side, 32
// if it is left out.

#:project ../../src/Microsoft.ML.MoE/Microsoft.ML.MoE.csproj
#:property PublishAot=false

using System.Globalization;
using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Runtime;
using SkiaSharp;
using TorchSharp;
using static TorchSharp.torch;

const int Columns = 12;
const int Shown = 96;   // pixels of a picture's side on the sheet
const int Gap = 4;

if (args.Length is < 2 or > 3)
{
    Console.Error.WriteLine("usage: dotnet run samples/FolderOfImages/AugmentationSheet.cs -- FOLDER-WITH-PICTURES SHEET.png [SIDE]");
    return 2;
}

var side = args.Length == 3 ? int.Parse(args[2], CultureInfo.InvariantCulture) : 32;
var files = Directory
    .EnumerateFiles(args[0], "*", SearchOption.AllDirectories)
    .Where(file => Path.GetExtension(file).ToUpperInvariant() is ".JPG" or ".JPEG" or ".PNG")
    .OrderBy(file => string.Concat(Path.GetFileName(file).Reverse()), StringComparer.Ordinal)
    .Take(Columns)
    .ToArray();
if (files.Length < 2)
{
    Console.Error.WriteLine($"{args[0]} has {files.Length} pictures (*.jpg, *.png); at least 2 are wanted.");
    return 2;
}

TorchRuntime.Initialize();
using var scope = NewDisposeScope();
var pixels_NCHW = stack(files.Select(Read));
var grey_NCHW = pixels_NCHW.mean([1], keepdim: true);

// Normalised as a training's images are, so that the mean colour comes in from outside.
var scale = ScaleOf(pixels_NCHW);
ImageAugmentation on = new() { Pixels = scale };
(string Name, Func<Tensor, Generator, Tensor> Change)[] rows =
[
    ("the pictures", (x, _) => x),
    ("crop of padding 4, flip", Whole(on with { CropPadding = 4, FlipProbability = 0.5 })),
    ("resized crop from 0.08", Whole(on with { RandomResizedCrop = new() })),
    ("resized crop from 0.5", Whole(on with { RandomResizedCrop = new() { MinScale = 0.5 } })),
    ("RandAugment 1, 5", Whole(on with { RandAugment = new() { Operations = 1, Magnitude = 5 } })),
    ("RandAugment 1, 9", Whole(on with { RandAugment = new() { Operations = 1 } })),
    ("RandAugment 2, 5", Whole(on with { RandAugment = new() { Magnitude = 5 } })),
    ("RandAugment 2, 9", Whole(on with { RandAugment = new() })),
    ("colour jitter 0.4", Whole(on with { ColorJitter = new() { Brightness = 0.4, Contrast = 0.4, Saturation = 0.4 } })),
    ("hue 0.5", Whole(on with { ColorJitter = new() { Hue = 0.5 } })),
    ("grayscale 0.5", Whole(on with { Grayscale = new() { Probability = 0.5 } })),
    ("blur, sigma 0.1 to 2", Whole(on with { GaussianBlur = new() })),
    ("solarize 0.5", Whole(on with { Solarize = new() { Probability = 0.5 } })),
    ("erasing, mean", Whole(on with { RandomErasing = new() { Probability = 0.7 } })),
    ("erasing, noise", Whole(on with { RandomErasing = new() { Probability = 0.7, Fill = ErasingFill.Noise } })),
    ("Mixup 0.8", Mixed(new() { MixupAlpha = 0.8 })),
    ("CutMix 1", Mixed(new() { CutMixAlpha = 1 })),
    ("MoCo v3, first view", Whole(ImageAugmentation.MoCoV3First with { Pixels = scale })),
    ("MoCo v3, second view", Whole(ImageAugmentation.MoCoV3Second with { Pixels = scale })),
];

var greyScale = ScaleOf(grey_NCHW);
(string Name, Func<Tensor, Generator, Tensor> Change)[] greyRows =
[
    ("grey pictures", (x, _) => x),
    ("RandAugment 2, 9", Of(greyScale, new ImageAugmentation { Pixels = greyScale, RandAugment = new() }.Apply)),
    ("MoCo v3, second view", Of(greyScale, (ImageAugmentation.MoCoV3Second with { Pixels = greyScale }).Apply)),
];

const int TextWidth = 190;
using var sheet = new SKBitmap(TextWidth + (files.Length * (Shown + Gap)), (rows.Length + greyRows.Length) * (Shown + Gap));
using (var canvas = new SKCanvas(sheet))
{
    canvas.Clear(SKColors.White);
    using var ink = new SKPaint { Color = SKColors.Black, IsAntialias = true, TextSize = 16 };
    using var generator = new Generator(1);
    var top = 0;
    foreach (var ((name, change), images_NCHW) in rows.Select(row => (row, pixels_NCHW)).Concat(greyRows.Select(row => (row, grey_NCHW))))
    {
        canvas.DrawText(name, 4, top + (Shown / 2), ink);
        var changed_NCHW = change(images_NCHW, generator).clamp(0, 1);
        for (var n = 0; n < files.Length; n++)
        {
            using var picture = Write(changed_NCHW[n]);
            canvas.DrawBitmap(picture, SKRect.Create(TextWidth + (n * (Shown + Gap)), top, Shown, Shown));
        }
        top += Shown + Gap;
    }
}

var unfinished = args[1] + ".part";
using (var stream = File.Create(unfinished))
    sheet.Encode(stream, SKEncodedImageFormat.Png, 100);
File.Move(unfinished, args[1], overwrite: true);
return 0;

Tensor Read(string file)
{
    using var found = SKBitmap.Decode(file) ?? throw new InvalidDataException($"{file} cannot be read.");
    using var picture = found.Resize(new SKImageInfo(side, side, SKColorType.Rgba8888, SKAlphaType.Opaque), SKFilterQuality.High);
    return tensor(picture.Bytes, [side, side, 4])[.., .., ..3].permute(2, 0, 1).to_type(float32) / 255;
}

SKBitmap Write(Tensor pixels_CHW)
{
    var picture = new SKBitmap(side, side, SKColorType.Rgba8888, SKAlphaType.Opaque);
    var bytes_HWC = (pixels_CHW.expand(3, side, side).permute(1, 2, 0) * 255).round().to_type(uint8).contiguous().data<byte>().ToArray();
    for (var i = 0; i < side * side; i++)
        picture.SetPixel(i % side, i / side, new SKColor(bytes_HWC[3 * i], bytes_HWC[(3 * i) + 1], bytes_HWC[(3 * i) + 2]));
    return picture;
}

PixelScale ScaleOf(Tensor images_NCHW) =>
    new(images_NCHW.mean([0, 2, 3]).data<float>().ToArray(), images_NCHW.transpose(0, 1).flatten(1).std(1).data<float>().ToArray());

Func<Tensor, Generator, Tensor> Whole(ImageAugmentation augmentation) => Of(scale, augmentation.Apply);

// A change of normalised images, for pixels.
Func<Tensor, Generator, Tensor> Of(PixelScale channels, Func<Tensor, Generator, Tensor> change) => (pixels, generator) =>
{
    var (mean, deviation) = (tensor(channels.Mean.ToArray()).view(-1, 1, 1), tensor(channels.Deviation.ToArray()).view(-1, 1, 1));
    return (change((pixels - mean) / deviation, generator) * deviation) + mean;
};

Func<Tensor, Generator, Tensor> Mixed(ImageMixing mixing) =>
    (pixels, generator) => mixing.Apply(pixels, arange(pixels.shape[0]), (int)pixels.shape[0], generator).Images_NCHW;
