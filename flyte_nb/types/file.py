"""flytekit's path of `FlyteFile`, and its names for files of the usual formats."""

from flyte_nb.types.file_formats import FileExt as FileExt
from flyte_nb.types.files import FlyteFile as FlyteFile
from flyte_nb.types.tensorflow_objects import TFRecordFile as TFRecordFile

CSVFile = FlyteFile["csv"]
HDF5EncodedFile = FlyteFile["hdf5"]
HTMLPage = FlyteFile["html"]
JoblibSerializedFile = FlyteFile["joblib"]
JPEGImageFile = FlyteFile["jpeg"]
JSONLFile = FlyteFile["jsonl"]
ONNXFile = FlyteFile["onnx"]
PDFFile = FlyteFile["pdf"]
PNGImageFile = FlyteFile["png"]
PythonNotebook = FlyteFile["ipynb"]
PythonPickledFile = FlyteFile["python_pickle"]
SVGImageFile = FlyteFile["svg"]
