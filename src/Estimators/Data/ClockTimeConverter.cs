using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Reads a time as its clock and its kind. A local time stands in JSON with the offset of the zone in which it was written; .NET's own
/// reader turns it into the clock of the reader's zone, which is another value: a label of 00:00 would be 18:00 elsewhere.
/// </summary>
internal sealed class ClockTimeConverter : JsonConverter<DateTime>
{
    private const int OffsetLength = 6;   // +00:00

    /// <inheritdoc/>
    public override DateTime Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        var text =
            reader.TokenType == JsonTokenType.String
                ? reader.GetString()!
                : throw new JsonException($"A time is a {reader.TokenType}; a text is wanted.");
        var (kind, clock) = text switch
        {
            [.. var before, 'Z'] => (DateTimeKind.Utc, before),
            { Length: > OffsetLength } when text[^OffsetLength] is '+' or '-' && text[^3] == ':' => (
                DateTimeKind.Local, text[..^OffsetLength]),
            _ => (DateTimeKind.Unspecified, text),
        };
        return DateTime.TryParseExact(
            clock, "yyyy-MM-dd'T'HH:mm:ss.FFFFFFF", CultureInfo.InvariantCulture, DateTimeStyles.None, out var time)
            ? DateTime.SpecifyKind(time, kind)
            : throw new JsonException(
                $"The time '{text}' cannot be read; one such as 2020-02-29T01:02:03 is wanted, with Z behind it for UTC or an offset for "
                    + "a local time.");
    }

    /// <inheritdoc/>
    public override void Write(Utf8JsonWriter writer, DateTime value, JsonSerializerOptions options) => writer.WriteStringValue(value);
}
