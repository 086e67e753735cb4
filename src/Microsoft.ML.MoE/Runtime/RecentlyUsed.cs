namespace Microsoft.ML.MoE.Runtime;

/// <summary>Keeps the values that were asked for last. One caller at a time.</summary>
/// <param name="release">Frees a value that is let go.</param>
internal sealed class RecentlyUsed<TKey, TValue>(Action<TValue> release) : IDisposable where TKey : IEquatable<TKey>
{
    private readonly List<KeyValuePair<TKey, TValue>> kept = [];   // few; the last one was used last

    /// <summary>How many are kept.</summary>
    public int Count => kept.Count;

    /// <summary>The value of a key.</summary>
    /// <param name="key">The key.</param>
    /// <param name="most">Values to keep, this one among them, at least 1.</param>
    /// <param name="make">Makes the value where it is not kept.</param>
    public TValue GetOrMake(TKey key, int most, Func<TValue> make)
    {
        var place = kept.FindIndex(pair => pair.Key.Equals(key));
        var found = place >= 0 ? kept[place] : new(key, make());
        if (place >= 0)
            kept.RemoveAt(place);
        kept.Add(found);
        while (kept.Count > most)
        {
            release(kept[0].Value);
            kept.RemoveAt(0);
        }
        return found.Value;
    }

    /// <summary>Lets all go.</summary>
    public void Dispose()
    {
        kept.ForEach(pair => release(pair.Value));
        kept.Clear();
    }
}
