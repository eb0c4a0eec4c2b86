"""Where every key, value and comment of one YAML text begins and ends, by character.

Kept apart from `framework.files`, which says what a file means and where that begins: an edit
needs ends as well, and must tell an alias from the value it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml import events

# The loader of framework.files: another one might see other ends.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_COLON = re.compile(r"\s*:")
_COMMENT = re.compile(r"#[^\r\n]*")
_NULLS = ("", "~", "null", "Null", "NULL")


@dataclass(eq=False)
class Node:
    """One value from `start` up to `end`; a block's end is that of its last value.

    `kind` is "mapping", "list", "scalar" or "alias"; an alias has its `target`. `uses` are the
    starts of the aliases that stand for this node.
    """

    kind: str
    start: int
    end: int
    text: str = ""
    style: str = ""
    flow: bool = False
    target: Node | None = None
    uses: list[int] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    @property
    def is_null(self) -> bool:
        """True where nothing, or null, is written."""
        return self.kind == "scalar" and not self.style and self.text in _NULLS

    def inside(self) -> Iterator[Node]:
        """The node and every one below it."""
        yield self
        for entry in self.entries:
            yield from entry.value.inside()


@dataclass(eq=False)
class Entry:
    """One key and its value, or one item of a list."""

    key: Node | None
    value: Node

    @property
    def start(self) -> int:
        """Where the key begins; the value where there is no key."""
        return self.key.start if self.key else self.value.start

    @property
    def is_merge(self) -> bool:
        """True for `<<`."""
        return self.key is not None and self.key.text == "<<" and not self.key.style


def read_layout(text: str) -> Node | None:
    """The root of a text that `framework.files` reads without a fault; None where it is empty."""
    root = _Reader(text).read()
    return None if root is None or root.is_null else root


def find_comments(text: str) -> list[str]:
    """Every comment, in order."""
    found: list[str] = []
    end = 0
    for token in yaml.scan(text, Loader=_LOADER):
        found += _COMMENT.findall(text[end : token.start_mark.index])
        end = max(end, token.end_mark.index)
    return found + _COMMENT.findall(text[end:])


def find_line(text: str, index: int) -> tuple[int, int]:
    """Where the line around `index` begins, and where it ends, its line break left out."""
    end = text.find("\n", index)
    end = len(text) if end < 0 else end
    if end > index and text[end - 1] == "\r":
        end -= 1
    return text.rfind("\n", 0, index) + 1, end


class _Reader:
    """One pass over the parser's events."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
        self._anchors: dict[str, Node] = {}

    def read(self) -> Node | None:
        for event in self._events:
            if isinstance(event, events.DocumentStartEvent):
                return self._node(next(self._events))
        return None

    def _node(self, event: Any) -> Node:
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, events.AliasEvent):
            target = self._anchors[str(event.anchor)]
            target.uses.append(start)
            return Node("alias", start, end, target=target)
        if isinstance(event, events.ScalarEvent):
            node = Node("scalar", start, end, event.value, event.style or "")
            if node.style in ("|", ">"):
                node.end = self._block_scalar_end(node)
        else:
            kind = "mapping" if isinstance(event, events.MappingStartEvent) else "list"
            node = Node(kind, start, end, flow=bool(event.flow_style))
        if event.anchor:
            self._anchors[event.anchor] = node
        if node.kind != "scalar":
            self._read_entries(node)
        return node

    def _block_scalar_end(self, node: Node) -> int:
        """The mark stands behind the blank lines that follow; only `+` makes them content."""
        written = self._text[node.start : node.end]
        header = written.split("\n", 1)[0].split("#")[0]
        if "+" not in header:
            return node.start + len(written.rstrip())
        return node.start + len(written.removesuffix("\n").removesuffix("\r"))

    def _read_entries(self, node: Node) -> None:
        for event in self._events:
            if isinstance(event, events.MappingEndEvent | events.SequenceEndEvent):
                break
            first = self._node(event)
            if node.kind == "list":
                node.entries.append(Entry(None, first))
                continue
            value = self._node(next(self._events))
            if value.start == value.end:
                self._put_behind_colon(first, value)
            node.entries.append(Entry(first, value))
        if node.flow:
            node.end = event.end_mark.index
        elif node.entries:
            node.end = node.entries[-1].value.end

    def _put_behind_colon(self, key: Node, value: Node) -> None:
        # Loaders disagree on where a value stands that is not written.
        colon = _COLON.match(self._text, key.end)
        value.start = value.end = colon.end() if colon else key.end
