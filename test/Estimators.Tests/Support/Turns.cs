namespace Estimators.Tests.Support;

/// <summary>
/// Two pieces of work on threads of their own, of which exactly one runs at any time: the order of all that they do is the same in
/// every run.
/// </summary>
internal sealed class Turns
{
    private readonly SemaphoreSlim[] mine = [new(0), new(0)];
    private readonly bool[] over = new bool[2];

    /// <summary>Runs both, the first one first; each hands over whenever it calls what it is given, and when it ends.</summary>
    /// <returns>What ended each of them too early; null for one that came to its end.</returns>
    public static (Exception? First, Exception? Second) Run(Action<Action> first, Action<Action> second)
    {
        var turns = new Turns();
        var failures = new Exception?[2];
        Action<Action>[] work = [first, second];
        var threads = Enumerable.Range(0, 2).Select(who => new Thread(() => failures[who] = turns.Work(who, work[who]))).ToArray();
        foreach (var thread in threads)
            thread.Start();
        turns.mine[0].Release();
        foreach (var thread in threads)
            thread.Join();
        return (failures[0], failures[1]);
    }

    private Exception? Work(int who, Action<Action> work)
    {
        mine[who].Wait();
        try
        {
            work(() => HandOver(who));
            return null;
        }
#pragma warning disable CA1031 // Whatever it is, the test looks at it.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            return exception;
        }
        finally
        {
            over[who] = true;
            mine[1 - who].Release();
        }
    }

    private void HandOver(int who)
    {
        if (over[1 - who])
            return;
        mine[1 - who].Release();
        mine[who].Wait();
    }
}
