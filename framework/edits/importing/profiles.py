"""Chooses the profiles of an imported model, and proposes a new one for shared settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from framework.edits.importing.containers import Settings, unused_name

# The cost of a line of an entry. Overriding a value of a profile costs more than a new value, and
# removing one costs most: if many values of a profile must be undone, it is the wrong profile.
_NEW, _OVERRIDE, _REMOVE = 1, 2, 4
FEWEST_SHARED = 3
_OWN = frozenset(
    {"owner", "description", "profiles", "image", "replicas", "labels", "patch", "enabled"}
)

Inherit = Callable[[tuple[str, ...]], Mapping[str, Any]]
Build = Callable[[tuple[str, ...]], Settings]


def choose_profiles(known: Sequence[str], inherit: Inherit, build: Build) -> tuple[str, ...]:
    """Returns the profiles with which an entry is cheapest, in their order.

    `inherit` returns what a list of profiles sets, `build` the entry of a model that lists them.
    Adds one profile at a time, as long as the entry becomes cheaper.
    """
    chosen: tuple[str, ...] = ()
    cost = _cost(build(chosen), inherit(chosen))
    while True:
        options = [(*chosen, name) for name in known if name not in chosen]
        costs = [(_cost(build(option), inherit(option)), option) for option in options]
        if not costs or min(costs)[0] >= cost:
            return chosen
        cost, chosen = min(costs)


def _cost(entry: Any, inherited: Any) -> int:
    if entry is None:
        return _REMOVE
    if isinstance(entry, Mapping):
        below = inherited if isinstance(inherited, Mapping) else {}
        return sum(_cost(value, below.get(key)) for key, value in entry.items()) or _NEW
    return _OVERRIDE if inherited is not None else _NEW


def count_lines(entry: Any) -> int:
    """Returns the number of values in an entry; a list counts as one."""
    if isinstance(entry, Mapping) and entry:
        return sum(map(count_lines, entry.values()))
    return 1


def find_shared(entries: Sequence[Settings]) -> Settings:
    """Returns the settings that all entries share; {} if these are too few for a profile."""
    if len(entries) < 2:
        return {}
    first = {key: value for key, value in entries[0].items() if key not in _OWN}
    others = [{k: v for k, v in entry.items() if k not in _OWN} for entry in entries[1:]]
    repository = (entries[0].get("image") or {}).get("repository")
    if repository and all((e.get("image") or {}).get("repository") == repository for e in entries):
        first["image"] = {"repository": repository}
        others = [{"image": {"repository": repository}, **other} for other in others]
    shared = _intersect(first, others)
    # A null in a profile removes what is below it, as it does in a model.
    return shared if count_lines(shared) >= FEWEST_SHARED else {}


def _intersect(first: Settings, others: Sequence[Settings]) -> Settings:
    shared: Settings = {}
    for key, value in first.items():
        found = [other.get(key, ...) for other in others]
        if all(child == value for child in found):
            shared[key] = value
        elif isinstance(value, dict) and all(isinstance(child, dict) for child in found):
            below = _intersect(value, [child for child in found if isinstance(child, dict)])
            shared |= {key: below} if below else {}
    return shared


def name_profile(shared: Settings, taken: Sequence[str]) -> str:
    """Returns a name for a profile: that of the server's image, else `imported`."""
    repository = str((shared.get("image") or {}).get("repository", ""))
    words = "".join(c if c.isalnum() else "-" for c in repository.rpartition("/")[2].lower())
    name = words.strip("-") if words[:1].isalpha() else "imported"
    return unused_name(name[:50], taken)
