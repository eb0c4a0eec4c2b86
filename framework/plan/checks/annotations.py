"""Checks the annotations in the settings of a model that the API server itself reads.

The rules compare them with other fields of the finished object, which a patch may have set: the
containers of a Pod, the type of a Service, the class of an Ingress.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from framework.core.diagnostics import Diagnostic, KeyPath, SettingDiagnostic
from framework.core.field_paths import get_at
from framework.kinds.kind import Manifest
from framework.plan.annotations import (
    Annotations,
    Error,
    find_ingress_errors,
    find_pod_errors,
    find_service_errors,
)
from framework.plan.checks.tracks import RenderedTrack
from framework.plan.manifest import ModelPlan
from framework.plan.patch import list_patches
from framework.plan.rendered import mapping_in
from framework.settings.service_rules import list_services

_ANNOTATIONS: KeyPath = ("metadata", "annotations")
_POD_ANNOTATIONS: KeyPath = ("spec", "template", *_ANNOTATIONS)


def find_annotation_errors(
    tracks: tuple[RenderedTrack, ...], plan: ModelPlan
) -> Iterator[Diagnostic]:
    """Yields what Kubernetes refuses in annotations of Pods, Services and the Ingress.

    A value that a patch writes over that of a setting is an error of the patch. Annotations that
    only a patch has are checked with the patch.
    """
    for manifest in plan.manifests:
        if manifest.object_key:
            # The annotations of `objects` are checked with the rest of such an object.
            continue
        patches = [*list_patches(manifest, plan, tracks[0].model)]
        field = _POD_ANNOTATIONS if manifest.kind == "Deployment" else _ANNOTATIONS
        for track, error in _find_in_settings(tracks, manifest):
            path = (*field, error.path[-1])
            # The patches are in the order in which they are applied: the last one decides.
            writers = [patch for patch in patches if get_at(patch.content, path, None) is not None]
            if writers:
                yield from writers[-1].diagnostics(SettingDiagnostic(path, error.message))
            else:
                yield track.report(error)


def _find_in_settings(
    tracks: tuple[RenderedTrack, ...], manifest: Manifest
) -> Iterator[tuple[RenderedTrack, SettingDiagnostic]]:
    """Yields the errors of annotations that a setting has, with the track of the settings."""
    stable = tracks[0]
    services, ingress = list_services(stable.settings), stable.settings.ingress
    if manifest.kind == "Deployment":
        track = next(track for track in tracks if track.plan.deployment == manifest.name)
        own = track.settings.pod_annotations
        for name, message in _find_in_pods(track, manifest):
            if name in own:
                yield track, SettingDiagnostic(("podAnnotations", name), message)
    elif manifest.kind == "Service":
        key, spec = manifest.part, mapping_in(manifest.object, "spec")
        ranges = bool(spec.get("loadBalancerSourceRanges"))
        errors = find_service_errors(
            _read(manifest), str(spec.get("type") or "ClusterIP"), has_ranges=ranges
        )
        path: KeyPath = ("services", key) if key else ("service",)
        own = services[key].annotations
        yield from _list_own(stable, errors, own, path, "type")
    elif manifest.kind == "Ingress" and ingress:
        class_name = mapping_in(manifest.object, "spec").get("ingressClassName")
        field = "className" if class_name == ingress.class_name else "spec.ingressClassName"
        errors = find_ingress_errors(_read(manifest), class_name, field)
        yield from _list_own(stable, errors, ingress.annotations, ("ingress",), "className")


def _find_in_pods(track: RenderedTrack, manifest: Manifest) -> Iterator[Error]:
    template = mapping_in(mapping_in(manifest.object, "spec"), "template")
    annotations = mapping_in(mapping_in(template, "metadata"), "annotations")
    names = {str(container.fields.get("name")) for container in track.list_containers()}
    return find_pod_errors(annotations, names, has_node=bool(track.pod.get("nodeName")))


def _list_own(
    track: RenderedTrack, errors: Iterable[Error], own: Annotations, path: KeyPath, other: str
) -> Iterator[tuple[RenderedTrack, SettingDiagnostic]]:
    for name, message in errors:
        if name in own:
            at = (*path, "annotations", name)
            yield track, SettingDiagnostic(at, message, others=((*path, other),))


def _read(manifest: Manifest) -> Annotations:
    return mapping_in(mapping_in(manifest.object, "metadata"), "annotations")
