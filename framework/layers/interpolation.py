"""What an interpolation may say, and what is wrong with one that cannot be resolved.

Kept apart from merging: these are rules about one text, `${image.tag}` or `\\${HOME}`, whatever
layer it stands in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from omegaconf.errors import GrammarParseError
from omegaconf.grammar_parser import parse

from framework.core.diagnostics import KeyPath
from framework.core.redaction import is_secret_key
from framework.core.suggestions import did_you_mean

# Pure, and the only way to name a fallback. oc.env reads the machine; oc.decode, oc.create and a
# name made by another interpolation could reach it unseen.
ALLOWED_RESOLVERS = frozenset({"oc.select"})

_PLAIN = re.compile(r"\$\{[A-Za-z_]\w*(?:\.[A-Za-z_][\w-]*)*\}")
_REFERENCE = re.compile(r"(?<!\\)(?:\\\\)*\$\{([^${}:]+)\}")
_WHOLE = re.compile(r"\$\{[^${}]+\}")
_SELECT = re.compile(r"\$\{\s*oc\.select\s*:\s*['\"]?([^,}'\"]+)")
_INSIDE = re.compile(r"\$\{([^}]*)")
_WORD = re.compile(r"[\w-]+")
_OPENING = re.compile(r"(\\*)\$\{")
_ESCAPE = r"write \${ for a literal ${"


def find_misuse(text: str) -> str:
    """What is wrong with the interpolations in `text` before anything is resolved; "" for none."""
    rest = _PLAIN.sub("", text)
    if "${" not in rest and "\\" not in rest:
        return ""
    try:
        tree = parse(text)
    except GrammarParseError:
        return f"is no complete interpolation; expected ${{key}} or ${{key.below}}; {_ESCAPE}"
    for name in _resolvers(tree):
        if name not in ALLOWED_RESOLVERS:
            allowed = ", ".join(sorted(ALLOWED_RESOLVERS))
            return (
                f'calls the resolver "{name}", which is refused: the same files must give the same '
                f"result on every machine; allowed: {allowed}; {_ESCAPE}"
            )
    return ""


def _resolvers(tree: Any) -> Iterator[str]:
    # Only the grammar's node for a resolver call has this method.
    if hasattr(tree, "resolverName"):
        yield tree.resolverName().getText()
    for index in range(tree.getChildCount()):
        child = tree.getChild(index)
        if hasattr(child, "getChildCount"):
            yield from _resolvers(child)


def references(text: str) -> tuple[str, ...]:
    """The dotted keys that `text` refers to, escaped ones left out: ("image.tag",)."""
    return tuple(match.strip() for match in _REFERENCE.findall(text))


def find_names(text: str, path: KeyPath) -> Iterator[tuple[str, ...]]:
    """The keys that a text standing at `path` refers to; leading dots count from there."""
    for name in (*references(text), *(found.strip() for found in _SELECT.findall(text))):
        dots = len(name) - len(name.lstrip("."))
        start = tuple(map(str, path[: len(path) - dots])) if dots else ()
        yield (*start, *name[dots:].split("."))


def reads_secret(text: str) -> bool:
    """True where an interpolation names a key that may hold a secret, or computes the name."""
    inside = _INSIDE.findall(text)
    return any("${" in one or is_secret_key(_WORD.findall(one)) for one in inside)


def is_whole(text: str) -> bool:
    """True where the value is one interpolation and nothing else, so that its type is kept."""
    return _WHOLE.fullmatch(text) is not None


def escape(value: Any) -> Any:
    """Plain data whose texts OmegaConf resolves to themselves."""
    if isinstance(value, dict):
        return {key: escape(child) for key, child in value.items()}
    if isinstance(value, list):
        return [escape(child) for child in value]
    if isinstance(value, str) and "${" in value:
        return _OPENING.sub(lambda found: found[1] * 2 + r"\${", value)
    return value


def describe_failure(
    text: str, missing: Iterable[str], known: Iterable[str], *, circular: bool
) -> str:
    """The message for a text that did not resolve. `missing` are its references that lead nowhere,
    `known` every dotted key there is."""
    if circular:
        shown = ", ".join(f"${{{name}}}" for name in references(text)) or "it"
        return f"refers to itself through {shown}; give one of them a value of its own"
    names = list(missing)
    if not names:
        return f"cannot be resolved; expected ${{key}} or ${{key.below}}; {_ESCAPE}"
    name = names[0]
    hint = did_you_mean(name, known)
    return (
        f'refers to "{name}", which has no value here; {hint}{" " if hint else ""}'
        f"the model's own keys, environment.* and stack.* can be named; {_ESCAPE}"
    )
