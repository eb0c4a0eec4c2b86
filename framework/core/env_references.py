"""References such as `$(HOST)` in variables, arguments and commands, as Kubernetes expands them.

Kubernetes goes through `env` from first to last, and replaces a reference by a variable that stands
earlier in the list or comes from `envFrom`. Any other reference stays in the text as it is written,
without an error. The syntax is that of k8s.io/kubernetes/third_party/forked/golang/expansion:
`$$` is a literal `$`, so `$$(HOST)` is not a reference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_TOKEN = re.compile(r"\$\$|\$\(([^)]*)\)")
_NAME = re.compile(r"[-._A-Za-z][-._A-Za-z0-9]*")


def list_references(text: str) -> tuple[str, ...]:
    """Returns the variables that a text refers to, in order."""
    names = (match[1] for match in _TOKEN.finditer(text))
    return tuple(dict.fromkeys(name for name in names if name and _NAME.fullmatch(name)))


def order_variables(items: Sequence[Any]) -> list[Any]:
    """Returns the items of a container's `env` so that each comes after those it refers to.

    Items that no other item refers to too early stay where they are. In a cycle the order does not
    help, and is kept.
    """
    values = {item["name"]: item for item in items if isinstance(item, Mapping) and "name" in item}
    needs = {name: _list_needs(item, values) for name, item in values.items()}
    if not any(needs.values()) or len(values) != len(items):
        return list(items)
    ordered: dict[str, Any] = {}

    def place(name: str, waiting: tuple[str, ...]) -> None:
        for needed in needs[name]:
            if needed not in ordered and needed not in waiting:
                place(needed, (*waiting, name))
        ordered.setdefault(name, values[name])

    for name in values:
        place(name, ())
    return list(ordered.values())


def _list_needs(item: Mapping[str, Any], values: Mapping[str, Any]) -> list[str]:
    text = item.get("value")
    references = list_references(text) if isinstance(text, str) else ()
    return [name for name in references if name in values and name != item["name"]]


def find_cycles(texts: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    """Yields each cycle of variables that refer to each other, from its first name by order.

    `texts` has the value of each variable that is text. A variable that refers to itself alone is
    no cycle: the reference means a variable of the same name from elsewhere.
    """
    needs = {
        name: [other for other in list_references(text) if other in texts and other != name]
        for name, text in texts.items()
    }
    reported: set[str] = set()
    for start in needs:
        cycle = _find_way_back(start, needs)
        if cycle and not reported & set(cycle):
            reported |= set(cycle)
            yield cycle


def _find_way_back(start: str, needs: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Returns the shortest way from a variable to itself; () where there is none."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    for way in ways:
        for name in needs[way[-1]]:
            if name == start:
                return way
            if name not in seen:
                seen.add(name)
                ways.append((*way, name))
    return ()
