"""Checks the rendered objects of a model: their sizes, and the containers that they refer to.

The API server refuses objects that are too large. It accepts a reference to a container that does
not exist; then the Pod cannot start, or the autoscaler does nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.core.diagnostics import Code, Diagnostic, KeyPath
from framework.core.field_paths import FieldPath
from framework.core.suggestions import suggest
from framework.kinds.kind import Manifest
from framework.plan.checks.pods import RenderedTrack
from framework.plan.manifest import ModelPlan
from framework.plan.rendered import mapping_in, mappings_in

# TotalAnnotationSizeLimitB and MaxSecretSize of Kubernetes, which counts the bytes in UTF-8.
_MAX_ANNOTATIONS = 256 * 1024
_MAX_DATA = 1024 * 1024
# The setting that the annotations of each kind come from.
_ANNOTATIONS: dict[str, KeyPath] = {
    "Deployment": ("annotations",),
    "Ingress": ("ingress", "annotations"),
    "Service": ("service", "annotations"),
    "ServiceAccount": ("serviceAccount", "annotations"),
}
# The annotation that the framework makes of a setting of its own.
_DESCRIPTION = "modelcatalog/description"


def find_object_diagnostics(
    tracks: tuple[RenderedTrack, ...], plan: ModelPlan
) -> Iterator[Diagnostic]:
    """Yields objects of a model that are too large, and references to unknown containers."""
    by_deployment = {track.plan.deployment: track for track in tracks}
    for manifest in plan.manifests:
        # A track's ConfigMap is named after its Deployment; the tracks share all other kinds.
        owner = manifest.logical_name.removesuffix("-config")
        yield from _find_large_parts(by_deployment.get(owner, tracks[0]), manifest)
    for track in tracks:
        names = [container.name for container in track.containers]
        for path, name in (*_list_variables(track), *_list_metrics(track)):
            if name and name not in names:
                message = f'{FieldPath(path)} is "{name}", which is not a container of the Pod'
                yield track.diagnostic(Code.INCONSISTENT, path, message + suggest(str(name), names))


def _find_large_parts(track: RenderedTrack, manifest: Manifest) -> Iterator[Diagnostic]:
    metadata = mapping_in(manifest.object, "metadata")
    setting = _ANNOTATIONS.get(manifest.kind, ("patch", manifest.kind, "metadata", "annotations"))
    data: KeyPath = ("config", "files")
    if manifest.object_key:
        setting = ("objects", manifest.object_key, "metadata", "annotations")
        data = ("objects", manifest.object_key, "data")
    yield from _find_large_annotations(track, setting, mapping_in(metadata, "annotations"))
    if manifest.kind == "Deployment":
        template = mapping_in(mapping_in(manifest.object, "spec"), "template")
        annotations = mapping_in(mapping_in(template, "metadata"), "annotations")
        yield from _find_large_annotations(track, ("podAnnotations",), annotations)
    files = mapping_in(manifest.object, "data") if manifest.kind == "ConfigMap" else {}
    sizes = {name: len(str(content).encode()) for name, content in files.items()}
    if sum(sizes.values()) > _MAX_DATA:
        largest = max(sizes, key=lambda name: sizes[name])
        message = (
            f"{FieldPath(data)} has {sum(sizes.values())} bytes, {sizes[largest]} of them in "
            f"{largest}; expected at most {_MAX_DATA} (1 MiB), the limit of a ConfigMap: put "
            "large files into the image or a volume"
        )
        yield track.diagnostic(Code.BAD_VALUE, (*data, largest), message)


def _find_large_annotations(
    track: RenderedTrack, setting: KeyPath, annotations: Mapping[str, Any]
) -> Iterator[Diagnostic]:
    sizes = {key: len(f"{key}{value}".encode()) for key, value in annotations.items()}
    if sum(sizes.values()) <= _MAX_ANNOTATIONS:
        return
    largest = max(sizes, key=lambda key: sizes[key])
    path = ("description",) if largest == _DESCRIPTION else (*setting, largest)
    message = (
        f"{FieldPath(path)} has {sizes[largest]} bytes; expected at most {_MAX_ANNOTATIONS} "
        "(256 KiB) in all annotations of an object, the limit of Kubernetes"
    )
    yield track.diagnostic(Code.BAD_VALUE, path, message)


def _list_variables(track: RenderedTrack) -> Iterator[tuple[KeyPath, Any]]:
    """Yields the container of each variable that has the resources of one."""
    for container in track.containers:
        for variable in mappings_in(container.fields, "env"):
            source = mapping_in(mapping_in(variable, "valueFrom"), "resourceFieldRef")
            if name := source.get("containerName"):
                key = str(variable.get("name"))
                patched = track.find_patched(*container.steps, "env", key)
                yield patched or (*container.setting, "env", key, "container"), name


def _list_metrics(track: RenderedTrack) -> Iterator[tuple[KeyPath, Any]]:
    """Yields the container of each metric; the autoscaler sizes the stable track alone."""
    autoscaling = track.settings.autoscaling if track.stable else None
    for metric, content in sorted((autoscaling.metrics if autoscaling else {}).items()):
        path = ("autoscaling", "metrics", metric, "containerResource", "container")
        yield path, mapping_in(content, "containerResource").get("container")
