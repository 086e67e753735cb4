namespace GeneralistSample;

/// <summary>What the program does.</summary>
internal enum SampleAction
{
    /// <summary>Trains a model, measures it, suits it to a task, saves it and lets another process use it.</summary>
    Train,

    /// <summary>Uses a saved model.</summary>
    Serve,

    /// <summary>Trains models that differ in what chooses their experts.</summary>
    CompareRouters,
}
