from flyte_nb.api.errors import IgnoreOutputs as IgnoreOutputs
from flyte_nb.api.errors import RecoverableError as RecoverableError
from flyte_nb.api.errors import UsageError as UsageError
from flyte_nb.api.identifiers import Identifier as Identifier
from flyte_nb.api.version import __version__ as __version__
from flyte_nb.discovery.specs.spec import Spec as Spec
from flyte_nb.sdk.deck import Deck as Deck
from flyte_nb.sdk.deck import DeckField as DeckField
from flyte_nb.sdk.execution_context import current_context as current_context
from flyte_nb.sdk.kinds.dynamic import dynamic as dynamic
from flyte_nb.sdk.kinds.map_task import map_task as map_task
from flyte_nb.sdk.launch_plan import LaunchPlan as LaunchPlan
from flyte_nb.sdk.options import Cache as Cache
from flyte_nb.sdk.options import Resources as Resources
from flyte_nb.sdk.options import Secret as Secret
from flyte_nb.sdk.options import TaskMetadata as TaskMetadata
from flyte_nb.sdk.task import task as task
from flyte_nb.sdk.workflow import WorkflowFailurePolicy as WorkflowFailurePolicy
from flyte_nb.sdk.workflow import workflow as workflow
from flyte_nb.session.session import Session as Session
from flyte_nb.session.session import connect as connect
from flyte_nb.session.session import default_runner as default_runner
from flyte_nb.session.session import default_session as default_session
from flyte_nb.types.annotations import FlyteAnnotation as FlyteAnnotation
from flyte_nb.types.annotations import HashMethod as HashMethod
from flyte_nb.types.annotations import kwtypes as kwtypes
from flyte_nb.types.codec import PickledTypeWarning as PickledTypeWarning
from flyte_nb.types.datasets import StructuredDataset as StructuredDataset
from flyte_nb.types.files import FlyteDirectory as FlyteDirectory
from flyte_nb.types.files import FlyteFile as FlyteFile
from flyte_nb.types.flyte_error import FlyteError as FlyteError

FlyteRecoverableException = RecoverableError

def load_ipython_extension(ip: object) -> None: ...
