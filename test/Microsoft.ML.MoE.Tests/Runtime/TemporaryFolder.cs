namespace Microsoft.ML.MoE.Tests.Runtime;

/// <summary>A folder that lasts as long as a test.</summary>
internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("moe-ml-test-").FullName;

    public string Combine(params string[] names) => System.IO.Path.Combine([Path, .. names]);

    public string[] Files() => Directory.GetFiles(Path, "*", SearchOption.AllDirectories);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
