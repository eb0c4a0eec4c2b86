"""Compares rendered objects with manifests on an API server, by dry runs that change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from framework.core.errors import FrameworkError
from framework.core.field_paths import MISSING
from framework.edits.importing.comparison import Difference, find_differences, without_generated
from framework.edits.importing.manifests import clean_object
from framework.edits.importing.proof import find_rendered
from framework.edits.importing.translation import Translation
from framework.kube.client import KubeClient
from framework.plan import ModelPlan

_MANAGER = "modelcatalog-import"
# The Namespace of the model may not exist yet, and a dry run needs one that does.
_NAMESPACE = "default"


def compare_on_server(
    client: KubeClient, translation: Translation, plan: ModelPlan
) -> tuple[list[Difference], list[str]]:
    """Sends both sides of each object to the server, and compares what it would store.

    Returns the fields that differ, and the errors of objects that the server refuses.
    """
    differences: list[Difference] = []
    refused: list[str] = []
    for wanted in translation.objects:
        rendered = find_rendered(plan, wanted)
        if rendered is None:
            continue
        try:
            stored = [_apply(client, obj) for obj in (rendered.object, wanted)]
        except FrameworkError as error:
            refused.append(f"{wanted['kind']}: {error}")
            continue
        before, after = map(without_generated, stored)
        differences += [d for d in find_differences(before, after) if d.wanted is not MISSING]
    return differences, refused


def _apply(client: KubeClient, obj: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {**obj["metadata"], "namespace": _NAMESPACE}
    stored = client.apply({**obj, "metadata": metadata}, manager=_MANAGER, force=True, dry_run=True)
    kept = ("name", "labels", "annotations")
    own, _ = clean_object(stored, is_live=True)
    return {**own, "metadata": {k: v for k, v in stored["metadata"].items() if k in kept}}
