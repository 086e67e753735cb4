using System.Reflection;
using System.Text.Json;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Persistence;

[TestClass]
public sealed class JsonContractsTests
{
    [TestMethod]
    public void WhateverWritesJson_SaysHowMembersAreFound()
    {
        const BindingFlags Declared = BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        var options = new[] { typeof(WideNetImageClassifier).Assembly, typeof(WideNetConfig).Assembly }
            .SelectMany(assembly => assembly.GetTypes()).Where(type => !type.ContainsGenericParameters)
            .SelectMany(type => type.GetFields(Declared)).Where(field => field.FieldType == typeof(JsonSerializerOptions)).ToArray();

        // Options that name none get one of their own at the first use, and fail there in an application that is published with trimming.
        Assert.IsGreaterThan(5, options.Length);
        foreach (var field in options)
        {
            var contracts = ((JsonSerializerOptions)field.GetValue(null)!).TypeInfoResolver;
            Assert.IsTrue(
                contracts == JsonContracts.All || contracts == JsonContracts.Settable, $"{field.DeclaringType!.Name}.{field.Name}");
        }
    }
}
