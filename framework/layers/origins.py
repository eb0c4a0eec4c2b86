"""Where every value of a merged result came from, and which layers cannot be laid over each other.

Kept apart from OmegaConf, which forgets origins and lets some shapes replace others silently: this
follows shapes and places only, never a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.layers.layer import Entry, Layer, Shape


class Node(NamedTuple):
    """The shape a path has now, and every place that gave it a value, the oldest first."""

    shape: Shape
    positions: tuple[Position, ...]


Nodes = dict[KeyPath, Node]

_CONTAINERS = (Shape.MAPPING, Shape.LIST)
_VALUES = (Shape.SCALAR, Shape.INTERPOLATION)


def lay_over(nodes: Nodes, layer: Layer) -> tuple[list[Diagnostic], frozenset[KeyPath]]:
    """Change `nodes` by what `layer` says; faults, and the layer's paths that cannot be laid."""
    diagnostics: list[Diagnostic] = []
    refused: set[KeyPath] = set()
    for entry in layer.entries:
        if refused and any(entry.path[:end] in refused for end in range(1, len(entry.path))):
            continue
        old = nodes.get(entry.path)
        if old and (message := _conflict(old, entry)):
            diagnostics.append(
                entry.position.diagnostic(Code.SHAPE_CONFLICT, f"{_dotted(entry.path)} {message}")
            )
            refused.add(entry.path)
            continue
        if old and old.shape in _CONTAINERS and entry.shape is not Shape.MAPPING:
            _drop_below(nodes, entry.path)
        nodes[entry.path] = Node(entry.shape, (*(old.positions if old else ()), entry.position))
    return diagnostics, frozenset(refused)


def _conflict(old: Node, new: Entry) -> str:
    """Why `new` cannot be laid over `old`; "" where it can."""
    if old.shape is Shape.INTERPOLATION and new.shape in _CONTAINERS:
        # OmegaConf would resolve it now, against what the layers below happen to say.
        return (
            f"is {new.shape.value}, laid over an interpolation at {old.positions[-1]}; "
            f"write out {new.shape.value} there, or another interpolation here"
        )
    pair = {old.shape, new.shape}
    if Shape.MAPPING in pair and pair & {Shape.LIST, *_VALUES}:
        return (
            f"is {new.shape.value}, laid over {old.shape.value} at {old.positions[-1]}; "
            "give both the same shape"
        )
    return ""


def _drop_below(nodes: Nodes, path: KeyPath) -> None:
    depth = len(path)
    for below in [other for other in nodes if len(other) > depth and other[:depth] == path]:
        del nodes[below]


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


def without_removed(nodes: Nodes, literal: Sequence[KeyPath] = ()) -> Mapping[KeyPath, Node]:
    """The nodes that are left once every key set to null is gone."""
    return {path: node for path, node in nodes.items() if not is_removed(path, node, literal)}


def is_removed(path: KeyPath, node: Node, literal: Sequence[KeyPath] = ()) -> bool:
    """True for a mapping's key set to null; a null item of a list stays, and so does null inside
    an entry of a `literal` mapping."""
    if node.shape is not Shape.NULL or not isinstance(path[-1], str):
        return False
    return not any(len(path) > len(at) + 1 and path[: len(at)] == at for at in literal)
