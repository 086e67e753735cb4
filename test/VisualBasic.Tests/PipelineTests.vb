Imports System.IO
Imports Microsoft.ML
Imports Microsoft.ML.Data
Imports Microsoft.ML.MoE.Estimators
Imports Microsoft.ML.MoE.Models
Imports Microsoft.VisualStudio.TestTools.UnitTesting

<TestClass>
Public NotInheritable Class PipelineTests

    Private ReadOnly _folder As String = Directory.CreateTempSubdirectory("moe-ml-basic-").FullName

    <TestCleanup>
    Public Sub Delete()
        Directory.Delete(_folder, recursive:=True)
    End Sub

    <TestMethod>
    Public Sub ThePipelineOfTheReadme_IsWrittenInVisualBasic()
        WritePhotos(60)

        Dim mlContext As New MLContext(seed:=1)
        Dim data = mlContext.Data.LoadFromTextFile(Of Photo)(Path.Combine(_folder, "photos.tsv"))
        Dim split = mlContext.Data.TrainTestSplit(data, testFraction:=0.2)
        Dim options As New WideNetImageClassifier.Options With {
            .FeatureColumnName = "Image", .ImageHeight = 32, .ImageWidth = 32, .Epochs = 20,
            .Architecture = New WideNetConfig(WideNetConfig.Small) With {.Blocks = 3}}
        Dim pipeline = mlContext.Transforms.Conversion.MapValueToKey("Label").
            Append(mlContext.Transforms.LoadPictures("Image", Path.Combine(_folder, "photos"), "Path")).
            Append(mlContext.MulticlassClassification.Trainers.WideNetImageClassifier(options)).
            Append(mlContext.Transforms.Conversion.MapKeyToValue("Class", "PredictedLabel"))
        Dim model = pipeline.Fit(split.TrainSet)
        Dim accuracy = mlContext.MulticlassClassification.Evaluate(model.Transform(split.TestSet)).MicroAccuracy
        mlContext.Model.Save(model, data.Schema, Path.Combine(_folder, "model.zip"))
        Dim schema As DataViewSchema = Nothing
        Dim loaded = mlContext.Model.Load(Path.Combine(_folder, "model.zip"), schema)

        Assert.IsGreaterThan(0.9, accuracy)
        CollectionAssert.AreEqual(Classes(model, data), Classes(loaded, data))
    End Sub

    Private Shared Function Classes(model As ITransformer, data As IDataView) As String()
        Return model.Transform(data).GetColumn(Of String)("Class").ToArray()
    End Function

    Private Sub WritePhotos(count As Integer)
        Dim photos = Directory.CreateDirectory(Path.Combine(_folder, "photos")).FullName
        Dim lines As New List(Of String)
        For i = 0 To count - 1
            Dim sea = i Mod 2 = 0
            Dim pixels(32 * 32 * 4 - 1) As Byte
            For at = 0 To pixels.Length - 1 Step 4
                pixels(at) = CByte(If(sea, 200, 20))
                pixels(at + 1) = CByte(i)
                pixels(at + 2) = CByte(If(sea, 20, 200))
                pixels(at + 3) = 255
            Next
            Using picture = MLImage.CreateFromPixels(32, 32, MLPixelFormat.Bgra32, pixels)
                picture.Save(Path.Combine(photos, $"{i}.png"))
            End Using
            lines.Add($"{i}.png{vbTab}{If(sea, "sea", "fire")}")
        Next
        File.WriteAllLines(Path.Combine(_folder, "photos.tsv"), lines)
    End Sub

End Class
