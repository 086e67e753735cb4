using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// What AdamW and LAMB have in common: moving averages of each gradient and of its square. A checkpoint has them as
/// <c>NAME.first_moment</c> and <c>NAME.second_moment</c>.
/// </summary>
internal abstract class AdamOptimizer : StatefulOptimizer
{
    private protected AdamOptimizer(IEnumerable<ParameterGroup> groups, double beta1, double beta2, double epsilon)
        : base(CreateStates(groups, beta1, beta2, epsilon)) => (Beta1, Beta2, Epsilon) = (beta1, beta2, epsilon);

    private protected double Beta1 { get; }

    private protected double Beta2 { get; }

    private protected double Epsilon { get; }

    private static ParameterStates CreateStates(IEnumerable<ParameterGroup> groups, double beta1, double beta2, double epsilon)
    {
        OptionChecks.AtLeastAndBelow(0, 1, beta1, nameof(beta1));
        OptionChecks.AtLeastAndBelow(0, 1, beta2, nameof(beta2));
        OptionChecks.AtLeast(0, epsilon, nameof(epsilon));
        return new ParameterStates(groups, ["first_moment", "second_moment"], countsSteps: true);
    }
}
