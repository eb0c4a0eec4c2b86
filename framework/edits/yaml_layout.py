"""Finds where every key, value and comment of a YAML text begins and ends, by character.

`framework.files` reads what a file means, and where each value begins. An edit also needs the ends,
and must tell an alias from the value that it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml import events

# The same loader as in framework.files: the two loaders of PyYAML disagree on some positions.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_COLON = re.compile(r"\s*:")
_COMMENT = re.compile(r"#[^\r\n]*")
_NULLS = ("", "~", "null", "Null", "NULL")


@dataclass(eq=False)
class Node:
    """One value, from `start` up to `end`. A block ends where its last value does.

    `kind` is "mapping", "list", "scalar" or "alias". `flow` is True for `{}` and `[]`. An alias has
    a `target`; `uses` are the starts of the aliases of this node.
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
        """Returns True if the value is null or missing."""
        return self.kind == "scalar" and not self.style and self.text in _NULLS

    def walk(self) -> Iterator[Node]:
        """Yields the node and every node below it."""
        yield self
        for entry in self.entries:
            yield from entry.value.walk()


@dataclass(eq=False)
class Entry:
    """A key and its value, or an item of a list, which has no key."""

    key: Node | None
    value: Node

    @property
    def start(self) -> int:
        """Returns the start of the key, or of the item."""
        return self.key.start if self.key else self.value.start

    @property
    def is_merge(self) -> bool:
        """Returns True for the key `<<`."""
        return self.key is not None and self.key.text == "<<" and not self.key.style


def read_layout(text: str) -> Node | None:
    """Returns the root of a valid text, None if it is empty."""
    root = _Reader(text).read()
    return None if root is None or root.is_null else root


def find_comments(text: str) -> list[str]:
    """Returns every comment, in order."""
    comments: list[str] = []
    end = 0
    # A comment is in a gap between two tokens. A `#` inside a token belongs to a value.
    for token in yaml.scan(text, Loader=_LOADER):
        comments += _COMMENT.findall(text[end : token.start_mark.index])
        end = max(end, token.end_mark.index)
    return comments + _COMMENT.findall(text[end:])


def find_line(text: str, index: int) -> tuple[int, int]:
    """Returns the start and end of the line around `index`, without its line break."""
    end = text.find("\n", index)
    end = len(text) if end < 0 else end
    if end > index and text[end - 1] == "\r":
        end -= 1
    return text.rfind("\n", 0, index) + 1, end


class _Reader:
    """Builds the nodes in one pass over the parser's events."""

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
        # The parser's end mark is after the blank lines that follow. With `|+` they are part of
        # the text, otherwise they separate it from the next key and stay where they are.
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
                # The loaders disagree on the position of a missing value: put it after the colon.
                colon = _COLON.match(self._text, first.end)
                value.start = value.end = colon.end() if colon else first.end
            node.entries.append(Entry(first, value))
        if node.flow:
            node.end = event.end_mark.index
        elif node.entries:
            node.end = node.entries[-1].value.end
