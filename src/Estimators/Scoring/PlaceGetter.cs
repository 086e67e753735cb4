namespace Microsoft.ML.MoE.Estimators;

/// <summary>Writes the value that an added column has in the row at a place of a block.</summary>
internal delegate void PlaceGetter<T>(int place, ref T value);
