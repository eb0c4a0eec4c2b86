"""Parses the interpolations of a single text, such as `${image.tag}`, without resolving them.

A reference is an interpolation that names a key: `${image.tag}`, and `${.tag}` relative to the
mapping around the text. The other interpolations call a resolver: `${oc.select:image.tag,latest}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from omegaconf.errors import GrammarParseError
from omegaconf.grammar_parser import parse

from framework.core.diagnostics import KeyPath
from framework.core.forms import FormTree
from framework.core.secret_names import is_secret_name

# oc.select computes nothing and is the only way to write a fallback. The others are refused: oc.env
# reads the machine, and oc.decode, oc.create or a computed resolver name could do so unseen.
_ALLOWED_RESOLVERS = frozenset({"oc.select"})

# One reference. An odd number of backslashes before it escapes it: `\${a}` is text. In an even
# number, each pair is a literal backslash and escapes nothing: `\\${a}` has a reference.
REFERENCE = re.compile(r"(?<!\\)(?P<backslashes>(?:\\\\)*)\$\{(?P<key>[^${}:]+)\}")
# The beginning of an interpolation of either kind, with the same rule for backslashes.
_UNESCAPED = re.compile(r"(?<!\\)(?:\\\\)*\$\{")
# The key in `${oc.select:key}` and `${oc.select:"key",default}`.
SELECTED_KEY = re.compile(r"\$\{\s*oc\.select\s*:\s*['\"]?([^,}'\"]+)")
# A text that is one interpolation, of either kind.
_WHOLE = re.compile(r"\$\{[^${}]+\}")
_WHOLE_REFERENCE = re.compile(r"\$\{([^.${}:][^${}:]*)\}")
# References that are valid without being parsed: no spaces, dots at the start, or brackets.
_PLAIN = re.compile(r"\$\{[A-Za-z_]\w*(?:\.[A-Za-z_][\w-]*)*\}")
_INSIDE = re.compile(r"\$\{([^}]*)")
_WORD = re.compile(r"[\w-]+")
_OPENING = re.compile(r"(\\*)\$\{")
_ESCAPE = r"write \${ for a literal ${"


def describe_escape(forms: FormTree, path: KeyPath) -> str:
    """Returns how to write `${` literally in the text at a path."""
    form, outer = forms.at(path), forms.at(path[:-1])
    has_mapping_form = (form and form.is_text) or (outer and outer.is_list)
    return f"{_ESCAPE}, or set interpolate: false" if has_mapping_form else _ESCAPE


def find_misuse(text: str, escape_advice: str = _ESCAPE) -> str:
    """Returns what is wrong with the interpolations of one text; "" if they are well-formed."""
    # Parsing is slow, and most texts have only plain references, which are always valid.
    rest = _PLAIN.sub("", text)
    if "${" not in rest and "\\" not in rest:
        return ""
    try:
        tree = parse(text)
    except GrammarParseError:
        return (
            f"is not a complete interpolation; expected ${{key}} or ${{key.below}}; {escape_advice}"
        )
    for name in _find_resolvers(tree):
        if name not in _ALLOWED_RESOLVERS:
            allowed = ", ".join(sorted(_ALLOWED_RESOLVERS))
            return (
                f'calls the resolver "{name}", which is refused: the same files must give the same '
                f"result on every machine; allowed: {allowed}; {escape_advice}"
            )
    return ""


def _find_resolvers(tree: Any) -> Iterator[str]:
    # Only the grammar's node for a resolver call has this method.
    if hasattr(tree, "resolverName"):
        yield tree.resolverName().getText()
    for index in range(tree.getChildCount()):
        child = tree.getChild(index)
        if hasattr(child, "getChildCount"):
            yield from _find_resolvers(child)


def find_interpolations(value: Any) -> Iterator[str]:
    """Yields the texts with an interpolation in plain data, without those that are escaped."""
    if isinstance(value, str):
        if _UNESCAPED.search(value):
            yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from find_interpolations(child)


def find_references(text: str) -> tuple[str, ...]:
    """Returns the dotted keys that `text` refers to, without escaped ones: ("image.tag",)."""
    return tuple(match["key"].strip() for match in REFERENCE.finditer(text))


def is_whole(text: str) -> bool:
    """Returns True for a text that is one interpolation, and so takes over the type of the value.

    `${replicas}` gives the number 2, `${replicas} Pods` the text "2 Pods".
    """
    return _WHOLE.fullmatch(text) is not None


def read_whole_reference(text: str) -> str:
    """Returns the key of a text that is one absolute reference, "" for another text."""
    match = _WHOLE_REFERENCE.fullmatch(text)
    return match[1].strip() if match else ""


def find_referenced_keys(text: str, path: KeyPath) -> Iterator[tuple[str, ...]]:
    """Yields the paths of the keys that the text at `path` refers to.

    Leading dots are relative to `path`, as in OmegaConf: at `a.b`, `${.c}` refers to `a.c`.
    """
    for name in (*find_references(text), *(key.strip() for key in SELECTED_KEY.findall(text))):
        dots = len(name) - len(name.lstrip("."))
        start = tuple(map(str, path[: len(path) - dots])) if dots else ()
        yield (*start, *name[dots:].split("."))


def escape(value: Any) -> Any:
    """Returns plain data in which every text resolves to itself in OmegaConf."""
    if isinstance(value, dict):
        return {key: escape(child) for key, child in value.items()}
    if isinstance(value, list):
        return [escape(child) for child in value]
    if isinstance(value, str) and "${" in value:
        # OmegaConf reads `\\${` as a backslash and a reference: existing backslashes are doubled.
        return _OPENING.sub(lambda match: match[1] * 2 + r"\${", value)
    return value


def reads_secret(text: str) -> bool:
    """Returns True where an interpolation names a secret key, or computes the name it reads."""
    return any(
        "${" in inside or any(map(is_secret_name, _WORD.findall(inside)))
        for inside in _INSIDE.findall(text)
    )
