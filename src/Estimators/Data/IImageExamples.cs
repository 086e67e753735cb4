using System.Collections;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>A set of examples that can be read again and again. One reader at a time.</summary>
internal interface IImageExamples
{
    /// <summary>Number of examples.</summary>
    int Count { get; }

    /// <summary>Reads all examples in their own order.</summary>
    IEnumerable<ImageExample> InOrder(CancellationToken cancellationToken);

    /// <summary>Reads all examples in an order drawn from <paramref name="random"/>.</summary>
    IEnumerable<ImageExample> Shuffled(Random random, CancellationToken cancellationToken) => Shuffled(random, skip: 0, cancellationToken);

    /// <summary>
    /// Reads all examples but the first ones in the order that <paramref name="random"/> draws for all of them. Those left out are not
    /// decoded.
    /// </summary>
    IEnumerable<ImageExample> Shuffled(Random random, int skip, CancellationToken cancellationToken) =>
        Shuffled(random, skip, times: null, cancellationToken);

    /// <summary>The same where each example comes as many times as is said.</summary>
    /// <param name="random">Draws the order.</param>
    /// <param name="skip">How many of the first ones to leave out.</param>
    /// <param name="times">How often each example comes, in their own order; those that do not come are not decoded. Null for once
    /// each.</param>
    /// <param name="cancellationToken">Stops the reading.</param>
    IEnumerable<ImageExample> Shuffled(Random random, int skip, int[]? times, CancellationToken cancellationToken);

    /// <summary>The examples whose bit is set.</summary>
    /// <param name="members">One bit an example, in their own order.</param>
    IImageExamples Where(BitArray members);
}
