"""Does each input get one value, and one that fits? And who has to run before?

Source: flytepropeller/pkg/compiler/validators/bindings.go at v1.16.8.
"""

import re
from collections.abc import Collection

from flyteidl.core import literals_pb2, types_pb2

from flyte_nb.api.nodes import START_NODE
from flyte_nb.compiler import reports, type_reports
from flyte_nb.compiler.building import BOTH, Builder, NodeState
from flyte_nb.compiler.casting import Type
from flyte_nb.compiler.inference import type_of_scalar
from flyte_nb.compiler.problems import Collector, Failed, Trial

# `name`, or `[3].name`; Flyte's own pattern, which is searched for, not matched.
_VARIABLE = re.compile(r"(\[(\d+)\]\.)?(\w+)", re.ASCII)
_MAX_INDEX = 2**63 - 1


def bind(
    builder: Builder,
    node: NodeState,
    params: "dict[str, Type] | None",
    direction: int = BOTH,
) -> "dict[str, Type]":
    """Check the node's bindings, add their edges, and return each bound input's resolved type.

    Args:
        builder: the workflow.
        node: whose inputs are bound.
        params: the inputs by name; `None` when the bindings themselves say what the inputs are
            (branches and approvals): then types are not checked.
        direction: which edges to add.
    """
    errors = builder.errors
    resolved: dict[str, Type] = {}
    provided: set[str] = set()
    checker = _Binding(builder, node, params is not None)
    for binding in node.message.inputs:
        name = binding.var
        expected = builder.types.none if params is None else params.get(name)
        if expected is None:
            known = errors.names(params or ())
            errors.add(reports.input_not_found(node.id, name, node.label, known))
        elif name in provided and binding.HasField("binding"):
            errors.add(reports.bound_twice(node.id, name))
        else:
            data = binding.binding
            kind = data.WhichOneof("value")
            if kind is None and not binding.HasField("binding"):
                message = f"{name!r} has a binding without a value."
                errors.add(reports.value_required(node.id, "Binding", message))
                continue
            provided.add(name)
            checker.name = name
            bound = checker.check(data, kind, expected, errors)
            if bound is not None:
                resolved[name] = bound
                if checker.makers:
                    builder.add_edges(checker.makers, node.id, direction)
            checker.makers.clear()
    if params is not None and node.interface is not None:
        required = node.interface.required
        if not required <= provided:
            for name in sorted(required - provided):
                errors.add(reports.not_bound(node.id, name, params[name], node.label))
    return resolved


class _Binding:
    """Checks the bindings of one node; `name` is the input at hand, whose binding may be nested."""

    __slots__ = ("builder", "check_types", "makers", "name", "node")

    def __init__(self, builder: Builder, node: NodeState, check_types: bool) -> None:
        self.builder = builder
        self.node = node
        self.name = ""
        self.check_types = check_types
        self.makers: list[str] = []
        """Ids of the nodes whose results the binding uses."""

    def check(
        self, data: literals_pb2.BindingData, kind: "str | None", expected: Type, errors: Collector
    ) -> "Type | None":
        """The type of the binding of that kind, or nothing; then problems went to `errors`."""
        if kind == "promise":
            return self._promise(data.promise, expected, errors)
        if kind == "scalar":
            return self._scalar(data.scalar, expected, errors)
        if expected.kind == "union_type":
            return self._union(data, kind, expected, errors)
        if kind == "collection":
            return self._items(data, data.collection.bindings, "collection_type", expected, errors)
        if kind == "map":
            bindings = data.map.bindings
            ordered = [bindings[name] for name in sorted(bindings)]
            return self._items(data, ordered, "map_value_type", expected, errors)
        received = "*core.BindingData_OffloadedMetadata" if kind else ""
        errors.say(type_reports.mismatching_bindings, self.node.id, self.name, expected, received)
        return None

    def _union(
        self, data: literals_pb2.BindingData, kind: "str | None", expected: Type, errors: Collector
    ) -> "Type | None":
        where = (self.node.id, self.name)
        found, match, used = None, expected, self.makers[:]
        makers = used
        for variant in expected.variants:
            self.makers = used[:]
            try:
                bound = self.check(data, kind, variant, Trial())
            except Failed:
                continue
            if found is not None:
                errors.say(type_reports.ambiguous_union, *where, expected, data, (match, variant))
                return None
            found, match, makers = bound, variant, self.makers
        self.makers = makers
        if found is None:
            errors.say(type_reports.incompatible_union, *where, expected, data)
        return found

    def _items(
        self,
        data: literals_pb2.BindingData,
        items: "Collection[literals_pb2.BindingData]",
        kind: str,
        expected: Type,
        errors: Collector,
    ) -> "Type | None":
        if expected.kind != kind or expected.inner is None:
            received = data.collection if kind == "collection_type" else data.map
            where = (self.node.id, self.name)
            errors.say(type_reports.mismatching_bindings, *where, expected, received)
            return None
        types = self.builder.types
        if isinstance(errors, Trial):
            types.step(len(items))
        before = errors.count
        inner: Type | None = None
        for item in items:
            inner = self.check(item, item.WhichOneof("value"), expected.inner, errors) or inner
        if errors.count != before:
            return None
        return types.collection(inner) if kind == "collection_type" else types.map(inner)

    def _promise(
        self, promise: types_pb2.OutputReference, expected: Type, errors: Collector
    ) -> "Type | None":
        node, name, builder = self.node, self.name, self.builder
        maker_id = promise.node_id or START_NODE
        maker = builder.nodes.get(maker_id)
        if maker is None:
            later = maker_id in builder.all_ids
            known = errors.names(builder.nodes)
            errors.say(reports.node_not_found, node.id, name, maker_id, known, later)
            errors.say(reports.still_not_bound, node.id, name)
            return None
        var = promise.var
        # An identifier of ASCII letters is the whole name, as nearly always.
        plain = var.isascii() and var.isidentifier()
        output, index = (var, False) if plain else _parsed(var)
        if not output:
            errors.say(reports.syntax_error, node.id, name, var)
            return None
        type = maker.outputs.get(output)
        if type is None or maker.alias_count:
            if not maker.alias_count:
                known = errors.names(maker.outputs)
                errors.say(reports.output_not_found, maker.id, output, maker.label, known)
            errors.say(reports.still_not_bound, node.id, name)
            return None
        source: Type | None = type
        if index:
            if type.kind == "collection_type":
                source = type.inner
            else:
                self._mismatch(maker, var, type, expected, errors)
        if len(promise.attr_path):
            source = self._walk(promise, source or type, errors)
            if source is None:
                return None
        source = source or type
        if self.check_types and source is not expected and not self._fits(source, expected):
            self._mismatch(maker, var, source, expected, errors)
            return None
        if not promise.node_id:
            promise.node_id = START_NODE
        self.makers.append(maker_id)
        return type

    def _walk(
        self, promise: types_pb2.OutputReference, source: Type, errors: Collector
    ) -> "Type | None":
        """The type at the end of the attribute path; `None` when a dataclass lacks the field."""
        for step in promise.attr_path:
            if source.inner is not None:
                source = source.inner
                continue
            structure = source.message.structure
            if not structure.dataclass_type:
                continue
            found = self.builder.types.field(source, step.string_value)
            if found is None:
                known = errors.names(structure.dataclass_type)
                where = (self.node.id, promise.var, source, step.string_value)
                errors.say(type_reports.field_not_found, *where, known)
                return None
            source = found
        return source

    def _fits(self, given: Type, expected: Type) -> bool:
        return self.builder.types.castable(given, expected)

    def _mismatch(
        self, maker: NodeState, var: str, type: Type, expected: Type, errors: Collector
    ) -> None:
        source, sink = maker.variable(var), self.node.variable(self.name)
        others = [
            name
            for name in errors.names(maker.outputs) or ()
            if name != var and self._fits(maker.outputs[name], expected)
        ]
        where = (self.node.id, self.name)
        errors.say(type_reports.promise_mismatch, *where, (source, type), (sink, expected), others)

    def _scalar(
        self, scalar: literals_pb2.Scalar, expected: Type, errors: Collector
    ) -> "Type | None":
        before = errors.count
        where = (self.node.id, self.name)
        type = type_of_scalar(self.builder.types, scalar)
        if type is None:
            errors.say(reports.unknown_scalar, *where, scalar.WhichOneof("value") or "nil")
        elif self.check_types and type is not expected and not self._fits(type, expected):
            errors.say(type_reports.value_mismatch, *where, type, expected)
        if expected.kind == "enum_type":
            value = scalar.primitive.string_value
            if value not in expected.values:
                known = errors.names(expected.values)
                errors.say(type_reports.illegal_enum_value, *where, value, expected, known)
        return type if errors.count == before else None


def _parsed(name: str) -> "tuple[str, bool]":
    """The output's name, and whether an item of it is meant; no name when it cannot be read."""
    matches = _VARIABLE.findall(name)
    if len(matches) != 1:
        return "", False
    _, index, output = matches[0]
    if index and (len(index) > 19 or int(index) > _MAX_INDEX):
        return "", False
    return output, bool(index)
