"""Finds the fields that an admission policy describes in words, such as "label tier" or "replicas".

Policies and webhooks may name no field of the object that they refuse. Then the words of the
message decide which setting the report shows; if no word fits, it shows the model's file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from framework.core.field_paths import FieldPath, ItemKey
from framework.plan.rendered import find_pods, mapping_in, mappings_in

# What the server writes before the policy's own words, which contains the word "request".
_DENIED = re.compile(r"denied (?:the )?request:?")
_WORD = re.compile(r"[\w/](?:[\w./-]*[\w/])?")


def find_described(message: str, obj: Mapping[str, Any]) -> Iterator[FieldPath]:
    """Yields the fields of an object that the message of a policy describes, the likeliest first.

    Yields nothing for a message that is not of an admission policy or a webhook.
    """
    denied = _DENIED.search(message)
    if denied is None:
        return
    text = message[denied.end() :].lower()
    words = {*_WORD.findall(text)}
    for part in ("labels", "annotations"):
        if {part, part.removesuffix("s")} & words:
            keys = mapping_in(mapping_in(obj, "metadata"), part)
            yield from (FieldPath(("metadata", part, key)) for key in keys if key.lower() in words)
    if "replicas" in words:
        yield FieldPath(("spec", "replicas"))
    for path, pod in find_pods(obj, ()):
        containers = [
            (FieldPath((*path, kind, ItemKey(str(item.get("name"))))), item)
            for kind in ("containers", "initContainers")
            for item in mappings_in(pod, kind)
        ]
        # A container comes first if the message contains its image or its name.
        containers.sort(key=lambda found: not _is_named(found[1], text, words))
        for container, item in containers:
            yield from _find_in_container(container, item, words)


def _is_named(container: Mapping[str, Any], text: str, words: set[str]) -> bool:
    image = str(container.get("image") or "").lower()
    return bool(image and image in text) or str(container.get("name")) in words


def _find_in_container(
    path: FieldPath, container: Mapping[str, Any], words: set[str]
) -> Iterator[FieldPath]:
    if {"image", "images", "registry", "tag"} & words or _is_named(container, "", words):
        yield path.child("image")
    for part in ("limits", "requests"):
        if {part, part.removesuffix("s")} & words:
            amounts = mapping_in(mapping_in(container, "resources"), part)
            below = path.child("resources").child(part)
            yield from (below.child(name) for name in amounts if name.lower() in words)
            yield below
