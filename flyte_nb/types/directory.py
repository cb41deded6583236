"""flytekit's path of `FlyteDirectory`, and its names for folders of the usual formats."""

from flyte_nb.types.files import FlyteDirectory as FlyteDirectory
from flyte_nb.types.tensorflow_objects import TFRecordsDirectory as TFRecordsDirectory

TensorboardLogs = FlyteDirectory.__class_getitem__("tensorboard")
