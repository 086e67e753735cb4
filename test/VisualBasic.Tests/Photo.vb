Imports Microsoft.ML.Data

''' <summary>A row of photos.tsv.</summary>
Public NotInheritable Class Photo

    <LoadColumn(0)>
    Public Property Path As String

    <LoadColumn(1)>
    Public Property Label As String

End Class
