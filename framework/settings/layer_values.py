"""What may stand for a value in one layer, and what an editor says of anything else.

Kept apart from building the schemas: these rules look at one JSON Schema node, and know no class.
`errorMessage` and `patternErrorMessage` are read by VS Code and by other editors that check with
its language servers; everything else ignores them.
"""

from __future__ import annotations

from typing import Any

import yaml

Json = dict[str, Any]

_INTERPOLATION = r"\$\{"
_SCALARS = {"integer", "number", "string", "boolean"}
_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
}
_TEXT = 'expected text; quote it, as in "1.10" or "true"'


def join_scalars(arms: list[Json]) -> list[Json]:
    """The arms, with scalars of different types as one: editors say and complete more with it."""
    joined: Json = {}
    rest = []
    for arm in arms:
        types = _types(arm)
        plain = types and _SCALARS.issuperset(types) and not {"enum", "const"} & arm.keys()
        if plain and not set(types) & set(_types(joined)):
            joined = {**joined, **arm, "type": [*_types(joined), *types]}
        else:
            rest.append(arm)
    return [joined, *rest] if joined else rest


def open_value(node: Json, *, nullable: bool) -> Json:
    """`node`, or an interpolation, or null where it may be."""
    types = _types(node)
    null = ["null"] if nullable else []
    if not types:
        return node
    told = {**node, **_messages(node, types)}
    if {"enum", "const", "maxLength"} & node.keys():
        return {"anyOf": [told, {"type": ["string", *null], "pattern": _INTERPOLATION}]}
    opened_types = list(dict.fromkeys([*types, "string", *null]))
    opened = {**told, "type": opened_types if len(opened_types) > 1 else opened_types[0]}
    if "string" not in types:
        opened["pattern"] = _INTERPOLATION
    elif "pattern" in node:
        opened["pattern"] = f"{node['pattern']}|{_INTERPOLATION}"
    return opened


def _types(node: Json) -> list[str]:
    types = node.get("type", [])
    return [types] if isinstance(types, str) else list(types)


def _messages(node: Json, types: list[str]) -> Json:
    """What is expected, for a value of another type and for text of another form.

    An editor would tell of the pattern that lets interpolations pass, and of types that may stand
    for any value. Of a mapping's or a list's own type it must go on to tell: `errorMessage` would
    also replace what is said of its keys and items.
    """
    form = node.get("patternErrorMessage")
    if {"enum", "const"} & node.keys():
        return {}
    if types == ["string"]:
        return {"errorMessage": _TEXT}
    expected = form or f"expected {' or '.join(_WORDS.get(one, 'text') for one in types)}"
    scalar = _SCALARS.issuperset(types)
    return {"errorMessage" if scalar else "patternErrorMessage": expected}


def reads_back(example: Any) -> bool:
    """True where an editor that completes with `example` writes what means the same.

    Within a mapping or a list it quotes nothing, expands what looks like a variable of its own, and
    has no way to write a mapping in a list.
    """
    match example:
        case dict():
            return all(map(reads_back, example.values()))
        case list():
            return all(reads_back(item) and not isinstance(item, dict | list) for item in example)
        case str():
            return "${" not in example and bool(yaml.safe_load(example) == example)
    return True
