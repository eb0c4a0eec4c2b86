"""Readers for rendered objects: after a patch, a field may have a value of any shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.settings.reserved import MODEL_CONTAINER


def mapping_in(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Returns the mapping at `key`; an empty one where a patch left something else there."""
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def mappings_in(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Returns the items of the list at `key` that are mappings."""
    items = data.get(key)
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list) else []


def texts_in(data: Mapping[str, Any], key: str) -> list[str]:
    """Returns the items of the list at `key` as text."""
    items = data.get(key)
    return [str(item) for item in items] if isinstance(items, list) else []


def find_model_image(spec: Mapping[str, Any]) -> str:
    """Returns the image of the model's container in the spec of a live Deployment.

    An injector may put its own container first. A Deployment of others may have no container of
    this name; then the first one counts.
    """
    containers = spec["template"]["spec"]["containers"]
    named = (container for container in containers if container["name"] == MODEL_CONTAINER)
    return str(next(named, containers[0])["image"])


def find_pods(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Yields each mapping below `value` that has containers with an image, with its path."""
    if isinstance(value, Mapping):
        if any("image" in container for container in mappings_in(value, "containers")):
            yield path, value
            return
        for key, child in value.items():
            yield from find_pods(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from find_pods(child, (*path, index))


def selects(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Returns True if a LabelSelector selects Pods with these labels."""
    if any(labels.get(key) != value for key, value in mapping_in(selector, "matchLabels").items()):
        return False
    return all(
        meets(term, labels.get(str(term.get("key"))))
        for term in mappings_in(selector, "matchExpressions")
    )


def meets(requirement: Mapping[str, Any], value: Any) -> bool:
    """Returns True if a value, None for an absent one, meets a requirement of a selector."""
    operator = str(requirement.get("operator"))
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) == (operator == "Exists")
    is_listed = value in texts_in(requirement, "values")
    return is_listed == (operator == "In")
