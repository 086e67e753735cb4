namespace Microsoft.ML.MoE.Optimizers;

/// <summary>What the updates that do not touch a row mean for its moments. Where every update touches every row, both are AdamW.</summary>
public enum RowClock
{
    /// <summary>
    /// Nothing: a row's moments decay, and its bias corrections count, in the updates that touch it. A row that is seldom used takes steps
    /// as large as one that is used often.
    /// </summary>
    OwnUpdates,

    /// <summary>
    /// A gradient of 0: moments decay by every update that was skipped, when the row is next touched, and the bias corrections count all
    /// updates, so that the moments are AdamW's own. What is left out is the motion of the row in the skipped updates (momentum, weight
    /// decay). How large a row's steps are then depends on how often it is used.
    /// </summary>
    AllUpdates,
}
