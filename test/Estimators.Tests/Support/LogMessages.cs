using Microsoft.ML;
using Microsoft.ML.Runtime;

namespace Estimators.Tests.Support;

/// <summary>Keeps what a context logs.</summary>
internal sealed class LogMessages
{
    private readonly List<(ChannelMessageKind Kind, string Text)> messages = [];

    public LogMessages(MLContext ml) => ml.Log += (_, e) =>
    {
        lock (messages)   // cursors log from threads of their own
            messages.Add((e.Kind, e.Message));
    };

    /// <summary>All messages so far.</summary>
    public string[] All
    {
        get
        {
            lock (messages)
                return [.. messages.Select(m => m.Text)];
        }
    }

    /// <summary>The warnings since the last call.</summary>
    public string[] TakeWarnings()
    {
        lock (messages)
        {
            var warnings = messages.Where(m => m.Kind == ChannelMessageKind.Warning).Select(m => m.Text).ToArray();
            messages.Clear();
            return warnings;
        }
    }
}
