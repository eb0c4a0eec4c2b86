"""Reads one YAML file as plain data, with the position of every key and value.

PyYAML parses the text into nodes, and the values are built from the nodes here. YAML 1.1 (PyYAML,
kubectl), YAML 1.2 and OmegaConf's own loader read some texts differently: `on` is true or text,
`010` is 8 or 10. Such a text is an error, with a hint how to write it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from framework.core.diagnostics import Code, Diagnostic, KeyPath, Position
from framework.core.redaction import is_secret_key
from framework.files.characters import (
    OTHER_LINE_BREAK,
    find_false_space,
    find_misleading,
    name_character,
    remedy_of_line_break,
)

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# What PyYAML calls an open bracket or quote: "while parsing a flow mapping", "... quoted scalar".
_OPENING_CONTEXT = re.compile("flow|quoted")
_MAX_DEPTH = 60
# A few lines of nested aliases can expand into billions of values.
_MAX_VALUES = 20_000

_TAG = "tag:yaml.org,2002:"
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FRACTION = re.compile(r"[-+]?([0-9]{1,17}\.[0-9]{0,17}|\.[0-9]{1,17})")
_AMBIGUOUS_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+|0o[0-7]+")
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md, "The Pointer"
_LFS_POINTER = "version https://git-lfs.github.com/"
# OmegaConf reads `???` as a missing value, and `\???` as the text `???`.
_MISSING = re.compile(r"\\*\?\?\?")


@dataclass(frozen=True, eq=False)
class Document:
    """The content of one file. `path` is relative to the root, with forward slashes.

    The key path () is the file as a whole: its position is that of the first key, and has no line
    where the file is empty. Values from an alias or a merge key have the position of the anchor.
    `spellings` has the original text of numbers that Python writes differently, such as 1.10.
    `broken` has the key paths that are left out of `data` because of an error, or () where nothing
    could be read. `blocks` has the source of each text of several lines, by its position.
    """

    path: str
    data: dict[str, Any]
    key_positions: Mapping[KeyPath, Position] = field(default_factory=dict)
    value_positions: Mapping[KeyPath, Position] = field(default_factory=dict)
    spellings: Mapping[KeyPath, str] = field(default_factory=dict)
    broken: frozenset[KeyPath] = frozenset()
    blocks: Mapping[Position, str] = field(default_factory=dict)

    def find_in_block(self, start: Position, part: str) -> Position:
        """Returns the position of `part` in the text at `start`; `start` where it is one line."""
        source = self.blocks.get(start, "")
        for match in re.finditer(re.escape(part), source):
            # An escaped reference is not the one that is searched for.
            if source[match.start() - 1 : match.start()] != "\\":
                before = source[: match.start()]
                line = before.count("\n")
                column = match.start() - (before.rfind("\n") + 1) + 1
                return Position(
                    start.path, start.line + line, column if line else start.column + column - 1
                )
        return start


def load_document(root: Path, path: str) -> tuple[Document, list[Diagnostic]]:
    """Reads `root/path`; returns the document and all errors. Never raises for the content."""
    try:
        text = (root / path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        before = exc.object[: exc.start].decode("utf-8", "replace")
        return _unreadable(_position_of(path, before), "not UTF-8 text; save the file as UTF-8")
    except OSError as exc:
        reason = exc.strerror or str(exc)
        return Document(path, {}, broken=frozenset({()})), [
            Diagnostic(path, 0, 0, Code.UNREADABLE, f"cannot be read: {reason}")
        ]
    return parse_document(path, text)


def parse_document(path: str, text: str) -> tuple[Document, list[Diagnostic]]:
    """Parses `text` as the file `path`; an empty file is an empty mapping."""
    if text.startswith(_LFS_POINTER):
        message = "this is a pointer of Git LFS, not the file itself; run `git lfs pull`"
        return _unreadable(Position(path, 0, 0), message)
    if bad := _UNPRINTABLE.search(text):
        position = _position_of(path, text[: bad.start()])
        return _unreadable(position, f"{name_character(bad[0])} is not allowed in YAML; remove it")
    if bad := OTHER_LINE_BREAK.search(text):
        # What follows looks like the rest of a comment in an editor, and is a line of its own here.
        position = _position_of(path, text[: bad.start()])
        return _unreadable(
            position,
            f"{name_character(bad[0])} begins a new line in YAML but not in editors; "
            f"{remedy_of_line_break(bad[0])}",
        )
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as exc:
        return _syntax_diagnostic(path, text, exc)
    except (yaml.YAMLError, RecursionError) as exc:
        return _unreadable(Position(path, 0, 0), f"not valid YAML: {exc}")
    if node is None or (isinstance(node, ScalarNode) and node.value == "" and not node.style):
        return Document(path, {}, value_positions={(): Position(path, 0, 0)}), []
    if not isinstance(node, MappingNode):
        return _unreadable(
            _mark_position(path, node.start_mark),
            'expected "key: value" lines at the top level, not a list or a single value',
        )
    return _Builder(path, text).build(node)


def _position_of(path: str, before: str) -> Position:
    return Position(path, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def _mark_position(path: str, mark: Any) -> Position:
    return Position(path, mark.line + 1, mark.column + 1)


def _unreadable(position: Position, message: str) -> tuple[Document, list[Diagnostic]]:
    return Document(position.path, {}, broken=frozenset({()})), [
        position.diagnostic(Code.SYNTAX, message)
    ]


def _syntax_diagnostic(
    path: str, text: str, exc: yaml.MarkedYAMLError
) -> tuple[Document, list[Diagnostic]]:
    mark = exc.problem_mark or exc.context_mark
    position = _mark_position(path, mark) if mark else Position(path, 1, 1)
    lines = text.split("\n")
    line = lines[position.line - 1] if position.line <= len(lines) else ""
    problem = exc.problem or "cannot be parsed"
    opening = exc.context_mark
    if opening and opening.line < position.line - 1 and _OPENING_CONTEXT.search(exc.context or ""):
        message = f"this quote or bracket is not closed; line {position.line} is still inside it"
        return _unreadable(_mark_position(path, opening), message)
    # `a:<no-break space>1` is text that continues in the next line, where YAML finds the error.
    for number in (position.line, position.line - 1):
        index = find_false_space(lines[number - 1]) if 0 < number <= len(lines) else None
        if index is not None:
            character = name_character(lines[number - 1][index])
            message = f"not valid YAML: {character} is not a space in YAML; replace it with a space"
            return _unreadable(Position(path, number, index + 1), message)
    # PyYAML names the token after the tab. The tab itself is what has to be replaced.
    if "\t" in line[: max(position.column, len(line) - len(line.lstrip()))]:
        position = Position(path, position.line, line.index("\t") + 1)
        return _unreadable(position, "a tab is used for indentation; YAML allows only spaces")
    if "another document" in problem:
        return _unreadable(position, "a second document begins here; a file has one document")
    if problem.startswith("mapping values are not allowed"):
        problem = 'no "key: value" may begin here; quote text with ": ", or fix the indentation'
    if problem == "did not find expected key":
        problem = "expected a key; align it with the keys above it, or quote the whole text"
    if problem == "did not find expected '-' indicator":
        problem = 'expected the next "- " of the list; align it with the one above'
    return _unreadable(position, f"not valid YAML: {problem}")


class _ScalarError(ValueError):
    """A scalar that parsers read differently; `str()` is the message, with the correct spelling."""


def _read_scalar(node: ScalarNode) -> Any:
    """Returns text, a bool, an int, a float or None. Raises _ScalarError."""
    text: str = node.value
    kind = node.tag.removeprefix(_TAG)
    if kind in ("str", "value", "merge"):
        return _read_text(text, plain=not node.style)
    if kind == "null":
        return None
    if kind == "bool":
        return _read_bool(text)
    if kind == "int":
        return _read_int(text)
    if kind == "float":
        return _read_float(text)
    if kind == "timestamp":
        raise _ScalarError(f'{text} would be read as a date; quote it: "{text}"')
    raise _ScalarError(f"the tag {node.tag} is not supported; write plain YAML without tags")


def _read_text(text: str, *, plain: bool) -> str:
    if _MISSING.fullmatch(text):
        raise _ScalarError('"???" is not a value; write the value, or leave the key out')
    if plain and _AMBIGUOUS_NUMBER.fullmatch(text):
        raise _ScalarError(
            f'{text} is a number to some YAML readers and text to others; quote it: "{text}", '
            "or write the number out"
        )
    return text


def _read_bool(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        meant = "true" if text.lower() in ("yes", "on", "y") else "false"
        raise _ScalarError(
            f'{text} would be read as {meant}; write true or false, or quote "{text}"'
        )
    return text.lower() == "true"


def _read_int(text: str) -> int:
    if _DECIMAL.fullmatch(text):
        number = int(text)
        # Pulumi passes numbers as floats, which do not have every integer beyond 2**53.
        if (rounded := int(float(number))) != number:
            raise _ScalarError(f'{text} would be rounded to {rounded}; quote it: "{text}"')
        return number
    if ":" in text:
        raise _ScalarError(f'{text} would be read as a number in base 60; quote it: "{text}"')
    if re.fullmatch(r"[-+]?0[0-7_]+", text):
        number = int(text.replace("_", ""), 8)
        raise _ScalarError(
            f'{text} would be read as the octal number {number}; quote it: "{text}", '
            f"or write {number}"
        )
    raise _ScalarError(f'{text} is not a plain decimal number; quote it: "{text}", or write it out')


def _read_float(text: str) -> float:
    if _FRACTION.fullmatch(text):
        return float(text)
    if ":" in text:
        raise _ScalarError(f'{text} would be read as a number in base 60; quote it: "{text}"')
    raise _ScalarError(f'{text} is not a plain decimal number; quote it: "{text}", or write it out')


class _Builder:
    """Builds data and positions from the nodes of one document, and collects all errors."""

    def __init__(self, path: str, text: str) -> None:
        self._path, self._text = path, text
        self._blocks: dict[Position, str] = {}
        self._diagnostics: list[Diagnostic] = []
        self._keys: dict[KeyPath, Position] = {}
        self._values: dict[KeyPath, Position] = {}
        self._spellings: dict[KeyPath, str] = {}
        self._broken: set[KeyPath] = set()
        # The nodes around the current one, to find anchors that contain themselves.
        self._open: list[Node] = []
        self._count = 0

    @cached_property
    def _lines(self) -> list[str]:
        # Not splitlines(): it would count U+2028 as a line break, which editors do not.
        return self._text.split("\n")

    def build(self, node: MappingNode) -> tuple[Document, list[Diagnostic]]:
        data = self._value(node, ())
        document = Document(
            self._path,
            data if isinstance(data, dict) else {},
            self._keys,
            self._values,
            self._spellings,
            frozenset(self._broken),
            self._blocks,
        )
        return document, self._diagnostics

    def _report(self, node: Node, code: Code, message: str, at: KeyPath) -> None:
        self._diagnostics.append(
            _mark_position(self._path, node.start_mark).diagnostic(code, message)
        )
        self._broken.add(at)

    def _value(self, node: Node, at: KeyPath) -> Any:
        """Returns the plain value of a node; None after an error, and for null."""
        self._values[at] = _mark_position(self._path, node.start_mark)
        self._count += 1
        if isinstance(node, ScalarNode):
            return self._scalar(node, at)
        if any(node is outer for outer in self._open):
            return self._report(
                node, Code.UNSUPPORTED_YAML, "an anchor contains itself; write the value out", at
            )
        if len(self._open) > _MAX_DEPTH:
            return self._report(
                node,
                Code.UNSUPPORTED_YAML,
                f"nested deeper than {_MAX_DEPTH} levels; flatten it",
                at,
            )
        if self._count > _MAX_VALUES:
            if self._count < _MAX_VALUES * 2:
                self._report(
                    node,
                    Code.UNSUPPORTED_YAML,
                    f"more than {_MAX_VALUES} values; do anchors multiply?",
                    at,
                )
                # Reported once, not for each of the values that follow.
                self._count = _MAX_VALUES * 2
            return None
        self._open.append(node)
        try:
            if isinstance(node, MappingNode):
                return self._mapping(node, at)
            return self._list(node, at)
        finally:
            self._open.pop()

    def _scalar(self, node: ScalarNode, at: KeyPath) -> Any:
        if misleading := find_misleading(self._source_line(node), is_key=False):
            return self._report_character(node, Code.AMBIGUOUS, misleading, at)
        try:
            value = _read_scalar(node)
        except _ScalarError as exc:
            # The message of the exception quotes the value.
            message = "would not be read as text; quote it" if is_secret_key(at) else str(exc)
            return self._report(node, Code.AMBIGUOUS, message, at)
        if node.end_mark.line > node.start_mark.line:
            lines = self._lines[node.start_mark.line : node.end_mark.line + 1]
            source = "\n".join(lines)[node.start_mark.column :]
            self._blocks[self._values[at]] = source
        if not isinstance(value, str) and value is not None and str(value) != node.value:
            self._spellings[at] = node.value
        return value

    def _source_line(self, node: ScalarNode) -> str:
        """Returns the source of a value on one line; "" for a text of several lines."""
        start, end = node.start_mark, node.end_mark
        if start.line != end.line:
            return ""
        source = self._lines[start.line][start.column : end.column]
        return f" {source[1:-1]}" if node.style in ("'", '"') else source

    def _report_character(
        self, node: Node, code: Code, misleading: tuple[int, str], at: KeyPath
    ) -> None:
        """Reports a character at its own column."""
        index, message = misleading
        start = _mark_position(self._path, node.start_mark)
        position = start._replace(column=start.column + index)
        self._diagnostics.append(position.diagnostic(code, message))
        self._broken.add(at)

    def _list(self, node: Node, at: KeyPath) -> Any:
        if not isinstance(node, SequenceNode) or not node.tag.endswith(":seq"):
            return self._report(
                node, Code.UNSUPPORTED_YAML, f"the tag {node.tag} is not supported; remove it", at
            )
        return [self._value(item, (*at, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: MappingNode, at: KeyPath) -> Any:
        if not node.tag.endswith(":map"):
            return self._report(
                node, Code.UNSUPPORTED_YAML, f"the tag {node.tag} is not supported; remove it", at
            )
        data: dict[str, Any] = {}
        for key_node, value_node in self._merged_pairs(node, at):
            # The first mapping of `<<: [*a, *b]` wins, as the YAML merge key specifies.
            if (key := self._key(key_node, at)) is not None and key not in data:
                self._enter(data, key, key_node, value_node, at)
        first: dict[str, Node] = {}
        for key_node, value_node in node.value:
            if _is_merge(key_node) or (key := self._key(key_node, at)) is None:
                continue
            if (earlier := first.setdefault(key, key_node)) is not key_node:
                mark = earlier.start_mark
                message = (
                    f'"{key}" is given twice; the first is at line {mark.line + 1}, '
                    f"column {mark.column + 1}; keep one"
                )
                self._report(key_node, Code.DUPLICATE_KEY, message, (*at, key))
                continue
            self._enter(data, key, key_node, value_node, at)
        return data

    def _enter(
        self, data: dict[str, Any], key: str, key_node: Node, value_node: Node, at: KeyPath
    ) -> None:
        """Adds one key and its value to `data`; replaces a value that came from a merge key."""
        here = (*at, key)
        if key in data:
            self._forget(here)
        self._keys[here] = _mark_position(self._path, key_node.start_mark)
        value = self._value(value_node, here)
        if here not in self._broken or value is not None:
            data[key] = value

    def _forget(self, stale: KeyPath) -> None:
        """Drops the positions of a value from a merge key that the mapping itself overrides."""
        for positions in (self._keys, self._values, self._spellings):
            for path in [path for path in positions if path[: len(stale)] == stale]:
                del positions[path]

    def _key(self, node: Node, at: KeyPath) -> str | None:
        if not isinstance(node, ScalarNode):
            self._report(node, Code.KEY_NOT_TEXT, "a key must be text, not a list or a mapping", at)
            return None
        if misleading := find_misleading(self._source_line(node), is_key=True):
            self._report_character(node, Code.AMBIGUOUS, misleading, (*at, node.value))
            return None
        try:
            value = _read_scalar(node)
        except _ScalarError as exc:
            self._report(node, Code.KEY_NOT_TEXT, f"a key must be text: {exc}", (*at, node.value))
            return None
        if isinstance(value, str):
            return value
        shown = node.value or "an empty key"
        quoted = f'; quote it: "{node.value}"' if node.value else ""
        self._report(
            node,
            Code.KEY_NOT_TEXT,
            f"a key must be text, and {shown} is not{quoted}",
            (*at, node.value),
        )
        return None

    def _merged_pairs(self, node: MappingNode, at: KeyPath) -> Iterator[tuple[Node, Node]]:
        """Yields the pairs of all `<<` keys; of several mappings, the first one wins."""
        merge_keys = [key_node for key_node, _ in node.value if _is_merge(key_node)]
        for key_node in merge_keys[1:]:
            mark = merge_keys[0].start_mark
            message = (
                f'"<<" is given twice, and YAML readers differ in which they take; the first is at '
                f"line {mark.line + 1}, column {mark.column + 1}; write one: <<: [*first, *second]"
            )
            self._report(key_node, Code.DUPLICATE_KEY, message, at)
        for key_node, value_node in node.value:
            if not _is_merge(key_node):
                continue
            is_list = isinstance(value_node, SequenceNode)
            for source in value_node.value if is_list else [value_node]:
                if not isinstance(source, MappingNode):
                    self._report(
                        source,
                        Code.UNSUPPORTED_YAML,
                        '"<<" takes a mapping, or a list of mappings',
                        at,
                    )
                elif any(source is outer for outer in self._open):
                    self._report(
                        source,
                        Code.UNSUPPORTED_YAML,
                        "an anchor contains itself; write the value out",
                        at,
                    )
                else:
                    self._open.append(source)
                    own = [pair for pair in source.value if not _is_merge(pair[0])]
                    yield from (*own, *self._merged_pairs(source, at))
                    self._open.pop()


def _is_merge(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.tag.endswith(":merge")
