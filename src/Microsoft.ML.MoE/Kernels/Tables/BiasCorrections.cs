namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>
/// 1 − βᵗ and βᵗ for a decay rate and every number of updates t, from a table that grows as t does and ends where float32 does not tell βᵗ
/// from 0.
/// </summary>
/// <param name="beta">β, 0 to below 1.</param>
internal sealed class BiasCorrections(double beta)
{
    private const int Longest = 1 << 20;
    private const double Vanishing = 1e-10;

    private readonly List<float> powers = [1];
    private readonly List<float> corrections = [0];
    private double power = 1;

    /// <summary>Makes the table long enough for a number of updates. Not while others read it.</summary>
    public void Reach(int updates)
    {
        while (powers.Count <= updates && power > Vanishing && powers.Count < Longest)
        {
            power *= beta;
            powers.Add((float)power);
            corrections.Add((float)(1 - power));
        }
    }

    /// <summary>βᵗ, for a t that has been reached.</summary>
    public float Power(int t) => t < powers.Count ? powers[t] : (float)Math.Pow(beta, t);

    /// <summary>1 − βᵗ, for a t that has been reached.</summary>
    public float Correction(int t) => t < corrections.Count ? corrections[t] : (float)(1 - Math.Pow(beta, t));
}
