"""scikit-learn's estimators (flytekit's `SklearnEstimator` blob).

flytekit stores them by joblib. They are pickled here instead, because joblib pickles classes and functions
of a notebook by name, and the task that reads the estimator may not have them. joblib reads such a file too.
"""

from importlib import import_module

from flyte_nb.api import literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import BlobType
from flyte_nb.api.literals import Literal
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import Annotation, no_data, spell
from flyte_nb.types.pickles import PickleCodec
from flyte_nb.types.pickling import ForeignPickle, load


class EstimatorCodec(PickleCodec):
    """Codec of sklearn.base.BaseEstimator and of every class derived from it, also of the author's own."""

    transformer = "Sklearn Estimator"
    imports = ("joblib", "sklearn")

    def __init__(self, python_type: Annotation) -> None:
        super().__init__(python_type)
        self.blob = BlobType("SklearnEstimator")
        self.literal_type = self.literal_type._replace(value=self.blob, metadata=None)

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        """Return the estimator that this SDK pickled or that joblib stored.

        Raises:
            CodecError: when the literal is no blob, or its file cannot be read here.
            NeedsStore: when there is no store.
        """
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        if data is None:
            raise no_data(self)
        path = data.download(literal.value[0])
        try:
            with open(path, "rb") as file:
                return load(file, self.python_type, data)
        except ForeignPickle:  # joblib wrote it, with the arrays beside the pickle
            pass
        try:
            estimator: object = import_module("joblib").load(path)
        except Exception as error:  # unpickling runs code of any class
            raise CodecError(
                f"{literal.value[0]} cannot be read as a {spell(self.python_type)}:"
                f" {type(error).__name__}: {error}.",
                hint="Read it with the Python and the package versions that wrote it.",
            ) from error
        return estimator
