"""flytekit's path of `FlyteFile`, and its names for files of the usual formats."""

from flyte_nb.types.file_formats import FileExt as FileExt
from flyte_nb.types.files import FlyteFile as FlyteFile
from flyte_nb.types.tensorflow_objects import TFRecordFile as TFRecordFile

# The call, because a type checker takes the text in FlyteFile["csv"] for the name of a type.
_of = FlyteFile.__class_getitem__

CSVFile = _of("csv")
HDF5EncodedFile = _of("hdf5")
HTMLPage = _of("html")
JoblibSerializedFile = _of("joblib")
JPEGImageFile = _of("jpeg")
JSONLFile = _of("jsonl")
ONNXFile = _of("onnx")
PDFFile = _of("pdf")
PNGImageFile = _of("png")
PythonNotebook = _of("ipynb")
PythonPickledFile = _of("python_pickle")
SVGImageFile = _of("svg")
