"""Finds the edits that may render a field of a manifest: of its settings, or of a patch.

`take` tries each of them, so an edit that is wrong does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from framework.catalog import Catalog, CatalogModel
from framework.core.diagnostics import KeyPath
from framework.core.errors import FrameworkError
from framework.core.field_paths import FieldPath, ItemKey, Step, get_at, list_keys, resolve
from framework.drift.report import Finding
from framework.drift.take_lists import ListChange
from framework.edits.yaml_edit import Edit
from framework.plan.patch.merge import DIRECTIVE
from framework.reports.rendered_fields import FieldExplainer

# Settings whose entries no other setting names, by the field that they render to. A wrong entry
# would do no harm, because its experiment fails.
_KEY = r'(?:\.(?P<key>[^.\["]+)|\["(?P<quoted>[^"]+)"\])'
_ENTRIES = (
    (re.compile(r"spec\.template\.spec\.containers\[model\]\.env\[(?P<key>[^\]]+)\]"), "env"),
    (re.compile(rf"metadata\.labels{_KEY}"), "labels"),
    (re.compile(rf"spec\.template\.metadata\.labels{_KEY}"), "podLabels"),
    (re.compile(rf"metadata\.annotations{_KEY}"), "annotations"),
    (re.compile(rf"spec\.template\.spec\.nodeSelector{_KEY}"), "scheduling.nodeSelector"),
    (re.compile(rf"spec\.template\.metadata\.annotations{_KEY}"), "podAnnotations"),
)
# Lists that are settings of the same names.
_LISTS = re.compile(r"spec\.template\.spec\.containers\[model\]\.(?P<key>args|command)")
_IMAGE = ("tag", "digest", "repository")


def name_settings(edits: Sequence[Edit]) -> str:
    """Returns the settings that the edits write, for a message."""
    return ", ".join(str(FieldPath(edit.path)) for edit in edits)


def build_setting_edits(
    finding: Finding, catalog: Catalog, model: CatalogModel
) -> Iterator[tuple[str, list[Edit]]]:
    """Yields the edits that may render a field, each with the file that defines its setting.

    The file is "" where it is not known.
    """
    seen: set[KeyPath] = set()
    if match := _LISTS.fullmatch(finding.path):
        seen.add((match["key"],))
        yield "", [Edit((match["key"],), finding.live)]
    for pattern, setting in _ENTRIES:
        if match := pattern.fullmatch(finding.path):
            groups = match.groupdict()
            key = groups.get("key") or groups.get("quoted") or ""
            seen.add((*setting.split("."), key))
            yield "", [Edit((*setting.split("."), key), finding.live)]
    for steps, file in _explain_settings(finding, finding.path, catalog, model):
        path = tuple(map(str, steps))
        if path not in seen:
            seen.add(path)
            for edits in _build_edits(path, finding):
                yield file, edits


def find_settings_of_list(
    finding: Finding, change: ListChange, catalog: Catalog, model: CatalogModel
) -> list[KeyPath]:
    """Returns the settings that may render a list without keys, the most likely first."""
    found: dict[KeyPath, None] = {}
    if match := _LISTS.fullmatch(str(change.path)):
        found[match["key"],] = None
    for steps, _ in _explain_settings(finding, str(change.path), catalog, model):
        if steps[0] == "patch":
            # The explanation names a part of the patch. Its list is the setting, if it has one.
            entry = tuple(map(str, steps[:2]))
            below = resolve(get_at(model.merged.data, entry, {}), change.path)
            if below is not None:
                found[(*entry, *below)] = None
            continue
        # The explanation may name the items of the list, such as `scheduling.tolerations[0].key`.
        depth = next((d for d, step in enumerate(steps) if isinstance(step, int)), len(steps))
        found[tuple(map(str, steps[:depth]))] = None
    return [*found]


def _explain_settings(
    finding: Finding, field: str, catalog: Catalog, model: CatalogModel
) -> Iterator[tuple[tuple[Step, ...], str]]:
    """Yields the keys of the settings behind a field, each with the file that defines it."""
    name = finding.object.rpartition("/")[2]
    try:
        explainer = FieldExplainer(catalog, model)
        explained = explainer.explain(f"{finding.object_kind}/{name}.{field}")
    except FrameworkError:
        return
    files = {s.key: (s.position or "").rsplit(":", 2)[0] for s in explained.settings}
    keys = [key for field in explained.fields for key in field.settings] + [*explained.adds]
    for key in dict.fromkeys(keys):
        # The explanation also names values that no line of the model's file sets.
        if key.startswith(("the key ", "environment", "name")):
            continue
        steps = FieldPath.parse(key).steps
        # The explanation names the settings of the canary without the key that they are under.
        yield ("canary", *steps) if steps[0] == "candidate" else steps, files.get(key, "")


def _build_edits(path: KeyPath, finding: Finding) -> Iterator[list[Edit]]:
    live = finding.live
    if path[-2:-1] == ("image",) and path[-1] in _IMAGE and isinstance(live, str):
        # Three settings make one reference, so two of them may have to change. A part that is the
        # same is not written: it may be an interpolation.
        old, new = _split_image(finding.desired), _split_image(live)
        changed = [key for key in _IMAGE if new[key] and new[key] != old[key]]
        # At the line of the first part; most files have no line of the digest, but one of the tag.
        if path[-1] in changed[:1] or (path[-1] == "tag" and changed == ["digest"]):
            yield [Edit((*path[:-1], key), new[key]) for key in changed]
        return
    yield [Edit(path, live)]


def _split_image(reference: Any) -> dict[str, str]:
    """Returns the tag, the digest and the repository of an image, each "" if it has none."""
    rest, _, digest = str(reference or "").partition("@")
    repository, colon, tag = rest.rpartition(":")
    # The colon of `registry:5000/chat` is that of a port.
    if "/" in tag or not colon:
        repository, tag = rest, ""
    return dict(zip(_IMAGE, (tag, digest, repository), strict=True))


def build_patch(finding: Finding) -> dict[str, Any] | None:
    """Returns the strategic merge patch that sets a field to its live value."""
    steps = FieldPath.parse(finding.path).steps
    patch = _nest(steps, 0, finding.live)
    return patch if isinstance(patch, dict) else None


def _nest(steps: Sequence[Step], depth: int, live: Any) -> Any:
    if depth == len(steps):
        return live
    step = steps[depth]
    if depth and isinstance(steps[depth - 1], str) and not isinstance(step, str):
        return _nest_item(steps, depth, live)
    return {str(step): _nest(steps, depth + 1, live)}


def _nest_item(steps: Sequence[Step], depth: int, live: Any) -> Any:
    """Returns a list with the item of a step, named by the keys of the list."""
    keys = list_keys(FieldPath(tuple(steps[:depth])))
    step = steps[depth]
    if not keys:
        # An item without a key cannot be patched alone.
        return None
    name: Any = step.text if isinstance(step, ItemKey) else step
    # A list with two keys has both in its steps: `8080/TCP` is containerPort and protocol.
    first, *others = str(name).split("/") if len(keys) > 1 else [name]
    identity: dict[str, Any] = {keys[0]: name if not others and isinstance(name, int) else first}
    if isinstance(identity[keys[0]], str) and identity[keys[0]].isdigit() and others:
        identity[keys[0]] = int(identity[keys[0]])
    identity |= dict(zip(keys[1:], others, strict=False))
    if depth + 1 == len(steps):
        if live is None:
            return [{**identity, DIRECTIVE: "delete"}]
        item = live if isinstance(live, Mapping) else {"value": live}
        return [{**identity, **item}]
    inner = _nest(steps, depth + 1, live)
    return None if inner is None else [{**identity, **inner}]


def build_patch_edits(path: KeyPath, held: Any, added: Any) -> Iterator[Edit]:
    """Yields the edits that add a patch to the one that the file has, and keep its comments.

    Items of lists are the same if their first entry is the same.
    """
    if isinstance(held, Mapping) and isinstance(added, Mapping):
        for key, value in added.items():
            if key in held:
                yield from build_patch_edits((*path, key), held[key], value)
            else:
                yield Edit((*path, key), value)
    elif isinstance(held, list) and isinstance(added, list):
        end = len(held)
        for item in added:
            identity = next(iter(item.items())) if isinstance(item, Mapping) and item else None
            for index, other in enumerate(held):
                if identity and isinstance(other, Mapping) and identity in other.items():
                    yield from build_patch_edits((*path, index), other, item)
                    break
            else:
                yield Edit((*path, end), item)
                end += 1
    else:
        yield Edit(path, added)
