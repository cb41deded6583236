"""Fill in names and versions of specs as flytectl does, and order specs by their references.

Source: flytectl/cmd/register/register_util.go at v1.16.8 (`hydrateSpec`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from flyteidl.admin.launch_plan_pb2 import LaunchPlanSpec
from flyteidl.admin.workflow_pb2 import WorkflowSpec

from flyte_nb.api.errors import CodecError
from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW, Identifier, Scope
from flyte_nb.api.problems import Problem
from flyte_nb.compiler.digests import digest as message_digest
from flyte_nb.compiler.requirements import references
from flyte_nb.discovery.specs.spec import Spec, uncompiled
from flyte_nb.drafting.draft import Name
from flyte_nb.drafting.versions import digest
from flyte_nb.wire.identifiers import identifier_from_idl, identifier_to_idl

_PLACEHOLDER = re.compile(r"\{\{\s*\.?registration\.(project|domain|version)\s*\}\}")
_FAST = re.compile(r"\{\{\s*\.(remote_package_path|dest_dir)\s*\}\}")


class Reference(NamedTuple):
    """One place where a spec names another entity."""

    noun: str
    message: Any
    """flyteidl's `Identifier`, in the spec that is being made ready."""
    node_id: str
    """Empty in a launch plan."""

    @property
    def name(self) -> Name:
        """What it names, whatever the version."""
        return self.noun, self.message.project, self.message.domain, self.message.name

    @property
    def id(self) -> Identifier:
        """It as a value."""
        return Identifier(*self.name, self.message.version)


class Entry:
    """One spec on its way to a draft."""

    def __init__(self, spec: Spec, scope: Scope) -> None:
        self.spec = spec
        self.message = type(spec.message)()
        self.message.CopyFrom(spec.message)
        # An absent field equals an empty one, but FlyteAdmin refuses a template in which these are absent.
        if spec.resource_type != LAUNCH_PLAN:
            self.message.template.interface.SetInParent()
            self.message.template.metadata.SetInParent()
        own = identifier_to_idl(spec.id)
        _fill(own, spec.resource_type, scope)
        self.pinned = bool(own.version)
        """Whether its author chose the version, so that it does not follow from the content."""
        self.id = Identifier(spec.resource_type, own.project, own.domain, own.name, own.version)
        self._embedded: dict[Name, dict[str, Any]] = {}
        subs = self.message.sub_workflows if spec.resource_type == WORKFLOW else ()
        self._own_subs = len(subs)
        for sub in subs:
            _fill(sub.id, WORKFLOW, scope)
            id = identifier_from_idl(sub.id)
            self._embedded.setdefault(id[:4], {}).setdefault(id.version, sub)
        self.references = tuple(references_of(self.message))
        for reference in self.references:
            _fill(reference.message, reference.noun, scope)

    @property
    def name(self) -> Name:
        """What it is called, whatever the version."""
        return self.id[:4]

    @property
    def needs_source(self) -> bool:
        """Whether it was made for fast registration, which uploads code beside it."""
        return self.id.resource_type == TASK and any(
            _FAST.search(word) for word in self.message.template.container.args
        )

    def embedded(self, reference: Reference) -> Any:
        """Return the sub-workflow that the spec itself contains; `None` without one of that name."""
        versions = self._embedded.get(reference.name, {})
        version = reference.message.version
        return versions.get(version) if version else next(iter(versions.values()), None)

    def bring(self, templates: "Iterable[Any]") -> int:
        """Add these sub-workflows to the spec, each once, and return how many were new."""
        before = len(self.message.sub_workflows)
        for template in templates:
            id = identifier_from_idl(template.id)
            versions = self._embedded.setdefault(id[:4], {})
            if id.version not in versions:
                sub = versions[id.version] = self.message.sub_workflows.add()
                sub.CopyFrom(uncompiled(template))
        return len(self.message.sub_workflows) - before

    def settle(self) -> None:
        """Give it its version, by its content unless it was given, and write its id into it.

        Sub-workflows that were added are not hashed again: references to them contain their versions.
        """
        if not self.id.version:
            # Hashed without its own id, which is about to get the version, and without the sub-workflows
            # that were added.
            content = type(self.message)()
            content.CopyFrom(self.message)
            if self.id.resource_type != LAUNCH_PLAN:
                content.template.id.Clear()
            if self.id.resource_type == WORKFLOW:
                del content.sub_workflows[self._own_subs :]
            try:
                known = message_digest(content).hex()
            except CodecError:  # a time out of range, which compiling reports
                known = content.SerializeToString(deterministic=True).hex()
            self.id = self.id._replace(version=digest([self.id.resource_type, known]))
        if self.id.resource_type != LAUNCH_PLAN:
            self.message.template.id.CopyFrom(identifier_to_idl(self.id))


def in_order(
    entries: "Mapping[Name, Entry]", problems: "dict[Name, list[Problem]]"
) -> "list[Entry]":
    """Return the entries, each after what it refers to; note circles, and leave them out."""
    graph = {
        name: [reference.name for reference in entry.references if reference.name in entries]
        for name, entry in entries.items()
    }
    order: list[Name] = []
    reported: set[Name] = set()
    for ring in _walked(graph, order):
        if reported.isdisjoint(ring):  # of circles that share a spec, one is reported
            reported.update(ring)
            problems.setdefault(ring[0], []).append(_circle(ring, entries[ring[0]]))
    order.sort(key=lambda name: name[0] != TASK)  # tasks first: they refer to nothing
    return [entries[name] for name in order]


def _walked(graph: "Mapping[Name, list[Name]]", order: "list[Name]") -> "Iterator[list[Name]]":
    """Fill `order`, each name after what it refers to, and yield the circles.

    The reference that closes a circle is ignored in the order.
    Every reference is followed once, and without recursion: a spec may be thousands deep.
    """
    done: set[Name] = set()
    for start in graph:
        path: dict[Name, Iterator[Name]] = {} if start in done else {start: iter(graph[start])}
        while path:
            name = next(reversed(path))
            for other in path[name]:
                if other in path:
                    yield [*path][[*path].index(other) :]
                elif other not in done:
                    path[other] = iter(graph[other])
                    break
            else:
                del path[name]
                done.add(name)
                order.append(name)


def _circle(ring: "list[Name]", entry: Entry) -> Problem:
    way = " → ".join(name[3] for name in (*ring, ring[0]))
    return Problem(
        "CycleDetected",
        f"These refer to each other in a circle: {way}.",
        hint="Take one of the references out, or give one a version that is registered.",
        location=entry.spec.location,
        entity=entry.id.name,
    )


def used_by(message: Any) -> "Iterator[Identifier]":
    """Yield what a `TaskSpec`, `WorkflowSpec` or `LaunchPlanSpec` refers to, at any depth."""
    for reference in references_of(message):
        yield reference.id


def references_of(message: Any) -> "Iterator[Reference]":
    """Yield every place in a spec's message that names another entity."""
    if isinstance(message, LaunchPlanSpec):
        yield Reference(WORKFLOW, message.workflow_id, "")
    elif isinstance(message, WorkflowSpec):
        for template in (message.template, *message.sub_workflows):
            nodes = list(template.nodes)
            if template.HasField("failure_node"):
                nodes.append(template.failure_node)
            for node in nodes:
                for noun, id, node_id in references([(node, node.id)]):
                    yield Reference(noun, id, node_id)


def _fill(id: Any, resource_type: str, scope: Scope) -> None:
    """Fill in what an id leaves open: empty parts and `{{ registration.… }}`; the version stays open."""
    id.resource_type = identifier_to_idl(Identifier(resource_type, "", "", "")).resource_type
    given = {"project": scope.project, "domain": scope.domain, "version": ""}
    for part, value in given.items():
        text = getattr(id, part)
        if not text or _PLACEHOLDER.fullmatch(text.strip()):
            setattr(id, part, value)
        elif "{{" in text:
            filled = _PLACEHOLDER.sub(lambda match: given[match[1]], text)
            setattr(id, part, filled)
