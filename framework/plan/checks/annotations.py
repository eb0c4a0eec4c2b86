"""Checks the annotations in the settings of a model that the API server itself reads.

The rules compare them with other fields of the finished object, which a patch may have set: the
containers of a Pod, the type of a Service, the class of an Ingress.
"""

from __future__ import annotations

from collections.abc import Iterator

from framework.core.diagnostics import Diagnostic, KeyPath, SettingDiagnostic
from framework.core.field_paths import get_at
from framework.kinds.kind import Manifest
from framework.plan.annotations import find_ingress_errors, find_pod_errors, find_service_errors
from framework.plan.checks.pods import RenderedTrack
from framework.plan.manifest import ModelPlan
from framework.plan.patch import list_patches
from framework.plan.rendered import mapping_in
from framework.settings.service_rules import list_services


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
        field: KeyPath = ("metadata", "annotations")
        if manifest.kind == "Deployment":
            field = ("spec", "template", *field)
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
    track, spec = tracks[0], mapping_in(manifest.object, "spec")
    annotations = mapping_in(mapping_in(manifest.object, "metadata"), "annotations")
    path: KeyPath = ("podAnnotations",)
    others: tuple[KeyPath, ...] = ()
    if manifest.kind == "Deployment":
        track = next(track for track in tracks if track.plan.deployment == manifest.name)
        metadata = mapping_in(mapping_in(spec, "template"), "metadata")
        names = {container.name for container in track.containers}
        has_node = bool(track.pod.get("nodeName"))
        errors = find_pod_errors(mapping_in(metadata, "annotations"), names, has_node=has_node)
        own = track.settings.pod_annotations
    elif manifest.kind == "Service":
        key, ranges = manifest.part, bool(spec.get("loadBalancerSourceRanges"))
        service_type = str(spec.get("type") or "ClusterIP")
        errors = find_service_errors(annotations, service_type, has_ranges=ranges)
        setting: KeyPath = ("services", key) if key else ("service",)
        own, path = list_services(track.settings)[key].annotations, (*setting, "annotations")
        others = ((*setting, "type"),)
    elif manifest.kind == "Ingress" and (ingress := track.settings.ingress):
        class_name = spec.get("ingressClassName")
        path, others = ("ingress", "annotations"), (("ingress", "className"),)
        field = "className" if class_name == ingress.class_name else "spec.ingressClassName"
        errors = find_ingress_errors(annotations, class_name, field)
        own = ingress.annotations
    else:
        return
    for name, message in errors:
        if name in own:
            yield track, SettingDiagnostic((*path, name), message, others=others)
