"""Finds the secrets within a text: by the keys of a YAML document, and by their form in any text.

A ConfigMap often has a configuration file in YAML, and an edit of the catalog is shown as lines of
a file. A value of YAML may be in quotes, follow an anchor, or go on in the next lines, so its
position is that of the parser. A text within the document is searched as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

from framework.core.secret_arguments import find_in_arguments, names_client
from framework.core.secret_names import is_secret_name, may_name_secret
from framework.core.secret_patterns import LISTS_OF_NAMES, can_be_secret_text, find_by_form

SHORTEST = 4
"""A secret of one to three characters is part of too many words and numbers to be replaced
everywhere: with the secret "1", the text "11 Pods" would become unreadable."""

# The parser calls itself for each level, and ends the process where its stack is full.
_MAX_DEPTH = 60
# How many levels of texts within texts are parsed.
_MAX_TEXTS = 4
_OPENING = ("{", "[", '"', "'")
# Each part of a text with escapes is searched for; with more parts, all of the text is redacted.
_MAX_PARTS = 20
# In `\nauth`, the letter after the backslash is not a part of the name.
_ESCAPE = re.compile(r"\\(?:x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|[A-Za-z])")
# An anchor and a tag, which the parser counts as parts of the value.
_BEFORE_VALUE = re.compile(r"(?:[&!]\S*\s+(?:#[^\n]*\s+)*)*")

_Span = tuple[int, int]


@lru_cache(maxsize=4096)
def find_spans(text: str) -> tuple[_Span, ...]:
    """Returns the first and last index of each secret within a text, in order."""
    return merge_spans(_find(text, 0)) if len(text) >= SHORTEST else ()


def merge_spans(spans: Iterable[_Span]) -> tuple[_Span, ...]:
    """Returns spans in order, those that overlap as one."""
    merged: list[_Span] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return tuple(merged)


def _find(text: str, level: int) -> Iterator[_Span]:
    if text.startswith("\ufeff"):
        # The parser does not count a byte order mark.
        yield from ((start + 1, end + 1) for start, end in _find(text[1:], level))
        return
    yield from find_by_form(text)
    # In a single line, only values in brackets or quotes need a parser.
    if level == _MAX_TEXTS or not ("\n" in text or text.lstrip().startswith(_OPENING)):
        return
    # The parser takes much longer than the search for words, and most texts have no secret.
    unescaped = _ESCAPE.sub(" ", text)
    if not (may_name_secret(unescaped) or names_client(unescaped)):
        return
    for node, is_secret in _list_scalars(_parse(text)):
        value = node.value.strip()
        if is_secret and can_be_secret_text(value):
            yield _find_value(text, node)
        # A line without escapes has been searched as a part of the text.
        elif value.startswith(_OPENING) or value not in text[slice(*_find_content(text, node))]:
            yield from _locate(text, node, merge_spans(_find(node.value, level + 1)))


@cache
def _create_loader() -> Any:
    import yaml

    class ShallowLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        _depth = 0

        # Called before and after each node.
        def descend_resolver(self, *_: Any) -> None:
            self._depth += 1
            if self._depth > _MAX_DEPTH:
                raise yaml.YAMLError

        def ascend_resolver(self) -> None:
            self._depth -= 1

    return ShallowLoader


def _parse(text: str) -> list[Any]:
    """Returns the documents of a YAML text; none where the text is something else."""
    import yaml

    try:
        nodes: list[Any] = list(yaml.compose_all(text, Loader=_create_loader()))
    except (yaml.YAMLError, ValueError):
        return []
    # Any text is a plain scalar.
    return [node for node in nodes if node.id != "scalar" or node.style]


def _list_scalars(nodes: Iterable[Any]) -> Iterator[tuple[Any, bool]]:
    """Yields each value, and whether the key above it names a secret.

    The name of `value` is that of its item, `{name: API_TOKEN, value: x}`, or of the mapping.
    """
    todo, seen = [(node, False) for node in nodes], set()
    while todo:
        node, is_secret = todo.pop()
        # An alias is the node of its anchor.
        if (id(node), is_secret) in seen:
            continue
        seen.add((id(node), is_secret))
        if node.id == "mapping":
            todo += _list_values(node, is_secret=is_secret)
        elif node.id == "sequence":
            words = [item.value if item.id == "scalar" else None for item in node.value]
            secret = {found.item for found in find_in_arguments(words)}
            todo += [(item, is_secret or i in secret) for i, item in enumerate(node.value)]
        else:
            yield node, is_secret


def _list_values(mapping: Any, *, is_secret: bool) -> Iterator[tuple[Any, bool]]:
    entries = [(key.value, child) for key, child in mapping.value if key.id == "scalar"]
    names = [child.value for key, child in entries if key in ("name", "key")]
    is_named = is_secret or any(isinstance(name, str) and is_secret_name(name) for name in names)
    for key, child in entries:
        is_list_of_names = key in LISTS_OF_NAMES and child.id == "sequence"
        yield child, is_named if key == "value" else is_secret_name(key) and not is_list_of_names


def _find_value(text: str, node: Any) -> _Span:
    """Returns where the characters of a value are in the text."""
    start, end = _find_content(text, node)
    content = text[start:end]
    return start + len(content) - len(content.lstrip()), start + len(content.rstrip())


def _find_content(text: str, node: Any) -> _Span:
    """Returns where the lines of a block are in the text, or a value without its quotes."""
    start, end = node.start_mark.index, node.end_mark.index
    if before := _BEFORE_VALUE.match(text, start, end):
        start = before.end()
    if node.style in ("|", ">"):
        return text.find("\n", start, end) + 1, end
    return (start + 1, end - 1) if node.style else (start, end)


def _locate(text: str, node: Any, spans: Sequence[_Span]) -> Iterator[_Span]:
    """Yields where parts of a value are in the text; the whole value where this is not known."""
    start, end = _find_content(text, node)
    parts = {node.value[first:last] for first, last in spans}
    if node.style == "|" and parts and (indexes := _map_block(text, node)):
        yield from ((indexes[first], indexes[last - 1] + 1) for first, last in spans)
    elif len(parts) <= _MAX_PARTS and all(
        len(part) >= SHORTEST and part in text[start:end] for part in parts
    ):
        for part in parts:
            found = re.compile(re.escape(part)).finditer(text, start, end)
            yield from (match.span() for match in found)
    else:
        yield _find_value(text, node)


def _map_block(text: str, node: Any) -> list[int]:
    """Returns the index in the text for each character of a block; none where lines differ."""
    at, end = _find_content(text, node)
    indexes: list[int] = []
    for source, line in zip(text[at:end].split("\n"), node.value.split("\n"), strict=False):
        shown = source.removesuffix("\r")
        if not shown.endswith(line):
            return []
        first = at + len(shown) - len(line)
        indexes += range(first, first + len(line) + 1)
        at += len(source) + 1
    return indexes
