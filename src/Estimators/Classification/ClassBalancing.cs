namespace Microsoft.ML.MoE.Estimators;

/// <summary>What is done where some classes have many more training images than others.</summary>
public enum ClassBalancing
{
    /// <summary>Nothing: frequent classes count more, as they do in what is scored if that is alike.</summary>
    None,

    /// <summary>The loss of an image is weighted by one over the number of images of its class: classes count alike.</summary>
    Weights,

    /// <summary>
    /// Images are drawn so that every class comes equally often in an epoch, which is as long as without: those of rare classes several
    /// times, and of frequent ones only some, others in each epoch. Where images are not kept in memory, copies of one go into the shuffle
    /// pool next to each other, so that the pool should be some times larger than they are many.
    /// </summary>
    Sampling,
}
