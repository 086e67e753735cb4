using System.Text.Json;
using System.Text.Json.Serialization;

namespace Microsoft.ML.MoE.Models;

/// <summary>Writes <see cref="BlockPositions"/> as a string.</summary>
internal sealed class BlockPositionsConverter : JsonConverter<BlockPositions>
{
    public override BlockPositions Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        try
        {
            return BlockPositions.Parse(reader.GetString() ?? throw new JsonException("A list of blocks is missing."));
        }
        catch (Exception exception) when (exception is FormatException or InvalidOperationException)
        {
            throw new JsonException(exception.Message, exception);
        }
    }

    public override void Write(Utf8JsonWriter writer, BlockPositions value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.ToString());
}
