using Estimators.Tests;
using Estimators.Tests.Persistence;
using Microsoft.Testing.Platform.Builder;

if (FreshProcess.Play() || GoldenZip.Write())
    return 0;

var builder = await TestApplication.CreateBuilderAsync(args);
SelfRegisteredExtensions.AddSelfRegisteredExtensions(builder, args);
using var application = await builder.BuildAsync();
return await application.RunAsync();
