"""The Python types of a fetched interface, whose author's annotations are not at hand."""

from collections.abc import Iterator
from typing import Any, Optional

import numpy as np
import PIL.Image
import pytest
import sklearn.base
import sklearn.linear_model
from google.protobuf import struct_pb2

from flyte_nb import FlyteDirectory, FlyteError, FlyteFile
from flyte_nb.api.literal_types import BLOB, BlobType, LiteralType
from flyte_nb.types.iterators import JSON
from flyte_nb.types.registry import default_registry

REGISTRY = default_registry(warn_pickled=False)


@pytest.mark.parametrize(
    ("python_type", "guessed"),
    [
        (FlyteError, FlyteError),
        (Optional[FlyteError], Optional[FlyteError]),
        (struct_pb2.Struct, struct_pb2.Struct),
        (Iterator[JSON], Iterator[JSON]),
        (Iterator[int], list[int]),
        (PIL.Image.Image, PIL.Image.Image),
        (sklearn.linear_model.LinearRegression, sklearn.base.BaseEstimator),
        (np.ndarray, np.ndarray),
        (FlyteFile["jsonl"], FlyteFile["jsonl"]),
        (FlyteDirectory, FlyteDirectory),
        (set, Any),
    ],
)
def test_the_type_that_stands_for_a_registered_one(python_type, guessed):
    assert REGISTRY.guess(REGISTRY.codec(python_type).literal_type) == guessed


def test_objects_of_a_library_that_is_not_imported_are_files():
    unknown = LiteralType(BLOB, BlobType("TensorFlowModel"))
    assert REGISTRY.guess(unknown) == FlyteFile["TensorFlowModel"]
