"""Two environments of the working tree, side by side.

Kept apart from comparing because it alone keeps what it found: a thousand models differ between any
two environments, and finding out why takes longer than reading it back.
"""

from __future__ import annotations

from collections.abc import Collection

from framework.plan.cache import PlanCache, compute_digests
from framework.reports.comparing import compare_sides
from framework.reports.differences import Comparison
from framework.reports.sides import Side


def compare_across(
    old: Side, new: Side, *, names: Collection[str] | None = None, cache: PlanCache | None = None
) -> Comparison:
    """What differs between two environments, `names` the models to look at.

    Kept by the digest of all that each model is made from on both sides, code included.
    """
    cache, sides = cache or PlanCache(), (old, new)
    before = [compute_digests(side.root, side.environment) for side in sides]
    keys = {
        name: f"diff {before[0].models[name]} {before[1].models[name]}"
        for name in old.models & new.models
        if names is None or name in names
    }
    kept = cache.find(list(keys.values()))
    known = {name: kept[key] for name, key in keys.items() if key in kept}
    found = compare_sides(old, new, names=names, known=known)
    fresh = {model.name: model for model in found.models if model.name not in known}
    # Not if a file changed meanwhile.
    if [compute_digests(side.root, side.environment) for side in sides] == before:
        cache.keep({key: fresh.get(name) for name, key in keys.items() if name not in known})
    return found
