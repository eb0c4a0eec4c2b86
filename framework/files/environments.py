"""The environments of a catalog, in the order in which a change is promoted through them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from framework.files.layout import environment_names, environment_path


def list_environments(root: Path) -> tuple[str, ...]:
    """Returns the names of the environments in promotion order, such as dev, staging, prod.

    Environments that neither promote to another nor are promoted to follow, by name. The order is
    for people to read, so a file with errors does not stop it; `validate` reports them.
    """
    # Imported only here: PyYAML takes longer to load than a plan of the cache.
    from framework.files.document import load_document

    names = environment_names(root)
    targets = {}
    for name in names:
        path = environment_path(name)
        if (root / path).is_file():
            target = load_document(root, path)[0].data.get("promotesTo")
            if target in names and target != name:
                targets[name] = str(target)
    return _order(names, targets)


def _order(names: tuple[str, ...], targets: Mapping[str, str]) -> tuple[str, ...]:
    remaining = [name for name in names if name in targets or name in targets.values()]
    ordered = []
    while remaining:
        waiting = {targets.get(name) for name in remaining}
        # In a cycle every environment waits for another: take the first by name.
        first = next((name for name in remaining if name not in waiting), remaining[0])
        remaining.remove(first)
        ordered.append(first)
    return (*ordered, *(name for name in names if name not in ordered))
