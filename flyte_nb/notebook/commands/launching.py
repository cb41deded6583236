"""`%flyte launch`: launch with the inputs on the line; without any, show a form for them."""

from collections.abc import Mapping
from typing import Any

from flyte_nb.api.errors import UsageError
from flyte_nb.executions.field_text import Unreadable
from flyte_nb.notebook import at_rest
from flyte_nb.notebook.arguments import Arguments
from flyte_nb.notebook.commands import watching
from flyte_nb.notebook.form.fields import Field, fields_of, unknown_inputs
from flyte_nb.notebook.kernel.failures import Interrupted
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.notebook.kernel.ports import ExecutionPort
from flyte_nb.sdk.entity import Definition
from flyte_nb.sdk.workflow import Workflow


def launch(kernel: Kernel, arguments: Arguments) -> "ExecutionPort | None":
    """Launch with the given inputs and return the execution; or show the form and return `None`.

    Raises:
        UsageError: There is no such entity; or an input is unknown, missing, or does not fit its type.
        Interrupted: A person interrupted the launch.
        FlyteNbError: The entity does not compile, or FlyteAdmin refuses the launch.
    """
    name = arguments.first() or _only_workflow(kernel)
    entity = kernel.entity(name)
    fields = _fields(kernel, entity)
    unknown = unknown_inputs(arguments.inputs, fields)
    if unknown:
        known = ", ".join(field.name for field in fields) or "no inputs"
        raise UsageError(f"{name} has no input {unknown[0]!r}; it takes: {known}.")
    required = [field.name for field in fields if field.required]
    missing = [field for field in required if field not in arguments.inputs]
    # A line with some inputs is taken as it is. A person who wants to fill in the rest asks for the form.
    form_wanted = arguments.switch("form") or (bool(fields) and not arguments.inputs)
    if form_wanted:
        _show_form(kernel, name, entity, fields, arguments)
        return None
    if missing:
        raise UsageError(
            f"{name} needs {', '.join(missing)}. Give {missing[0]}=…, or add --form to fill them in."
        )
    values = _values(fields, arguments)
    return _launch(kernel, entity, values, arguments)


def _only_workflow(kernel: Kernel) -> str:
    workflows = [name for name, e in kernel.entities().items() if isinstance(e, Workflow)]
    if len(workflows) == 1:
        return workflows[0]
    known = ", ".join(workflows) or "none yet"
    raise UsageError(f"Name a workflow: %flyte launch NAME. The notebook defines: {known}.")


def _fields(kernel: Kernel, entity: "Definition | str") -> "tuple[Field, ...]":
    """Return the fields of an entity of this notebook, or of a registered one by its name."""
    registry = kernel.session.registry
    # Of a registered entity only Flyte's types are known, so a Python type is chosen for each.
    if isinstance(entity, str):
        interface, defaults = kernel.session.interface(entity)
        codecs = {
            name: registry.codec(registry.guess(variable.type))
            for name, variable in interface.inputs.items()
        }
        return fields_of(interface, codecs, defaults)
    signature = entity.signature(registry)
    return fields_of(signature.interface, signature.input_codecs, signature.defaults)


def _values(fields: "tuple[Field, ...]", arguments: Arguments) -> "dict[str, Any]":
    """Return the Python values of the inputs on the line, or raise one error that names all wrong ones."""
    values = {}
    wrong = []
    for field in fields:
        if field.name in arguments.written:
            try:
                values[field.name] = field.given(arguments.written[field.name], arguments.names)
            except Unreadable as error:
                wrong.append(f"{field.name} ({field.spelled}): {error}")
    if wrong:
        raise UsageError("\n".join(wrong))
    return values


def _launch(
    kernel: Kernel, entity: "Definition | str", values: "Mapping[str, object]", arguments: Arguments
) -> ExecutionPort:
    try:
        execution = kernel.session.launch(
            entity,
            dict(values),
            version=arguments.options.get("version"),
            execution_name=arguments.options.get("execution-name"),
        )
        kernel.last_execution = execution.view().id.name
    except KeyboardInterrupt as stopped:
        # The session's own interrupt says how far the launch came; Python's has no text.
        message = str(stopped) or (
            "The launch was interrupted. %flyte executions shows whether the execution was created."
        )
        raise Interrupted(message) from None
    return execution


def _show_form(
    kernel: Kernel,
    name: str,
    entity: "Definition | str",
    fields: "tuple[Field, ...]",
    arguments: Arguments,
) -> None:
    # ipywidgets is optional; launching with inputs on the line works without it.
    from flyte_nb.notebook.form.view import LaunchForm

    output = kernel.output()
    shown: list[LaunchForm] = []

    def launched(values: "Mapping[str, object]") -> None:
        execution = _launch(kernel, entity, values, arguments)
        watching.show(kernel, execution, output, frame=shown[0])

    title = name if isinstance(entity, str) else kernel.full_name(entity)
    form = LaunchForm(
        title,
        arguments.options.get("version", ""),
        fields,
        namespace=lambda: kernel.namespace,
        launch=launched,
        given={
            field.name: field.text_of(arguments.written[field.name], arguments.names)
            for field in fields
            if field.name in arguments.written
        },
    )
    shown.append(form)
    output.show(at_rest.with_fallback(form.widget, at_rest.form_at_rest(title, fields)))
