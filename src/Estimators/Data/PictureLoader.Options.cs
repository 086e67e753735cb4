using System.Drawing;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

public sealed partial class PictureLoader
{
    /// <summary>Options of <see cref="PictureLoader"/>.</summary>
    public sealed class Options
    {
        /// <summary>Column that receives the pictures, an <see cref="Microsoft.ML.Data.MLImage"/>. Default "Image".</summary>
        public string OutputColumnName { get; set; } = "Image";

        /// <summary>
        /// Column with the files: texts with their names, or vectors of bytes with what is in them. Null (default):
        /// <see cref="OutputColumnName"/>.
        /// </summary>
        public string? InputColumnName { get; set; }

        /// <summary>
        /// Folder of files whose names have no root. Empty (default): the process's working folder. Saved with the model.
        /// </summary>
        public string ImageFolder { get; set; } = "";

        /// <summary>
        /// What shows through where a picture is transparent; opaque. Default white, as on a page. (Without a background, as in
        /// <c>LoadImages</c>, a drawing in black on nothing is a black rectangle.)
        /// </summary>
        public Color Background { get; set; } = Color.White;

        /// <summary>
        /// Pixels that a picture may have, 1 to 500,000,000. Default 100,000,000, for which 0.8 GB are taken while it is decoded. A file of
        /// 100 KB can have a thousand million; one with more is unreadable, which is found out before it is decoded.
        /// </summary>
        public long MaxPixels { get; set; } = PictureDecoding.UsualPixels;

        /// <summary>
        /// Whether to take a picture that ends too early or is damaged as far as it can be decoded; the rest is background, or grey in a
        /// JPEG. Default false: it is unreadable.
        /// </summary>
        public bool AcceptIncomplete { get; set; }

        /// <summary>Checks the options.</summary>
        /// <exception cref="ArgumentException">One is out of range.</exception>
        internal void Validate()
        {
            if (string.IsNullOrWhiteSpace(OutputColumnName))
                throw new ArgumentException($"{nameof(OutputColumnName)} is empty; it must name a column.");
            if (InputColumnName is { } input && string.IsNullOrWhiteSpace(input))
                throw new ArgumentException($"{nameof(InputColumnName)} is empty; it must name a column, or be null.");
            if (Background.A != byte.MaxValue)
            {
                throw new ArgumentException(
                    $"{nameof(Background)} is {Background}, which is transparent itself (alpha {Background.A}); it must be opaque.");
            }
            OptionChecks.Between(1, PictureDecoding.MostPixels, MaxPixels, nameof(MaxPixels));
        }
    }
}
