"""Checks the annotations in the settings of a model that the API server itself reads.

The rules compare them with other fields of the finished object, which a patch may have set: the
containers of a Pod, the type of a Service, the class of an Ingress.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from framework.core.diagnostics import Diagnostic, KeyPath, SettingDiagnostic
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
from framework.plan.rendered import mapping_in
from framework.settings.service_rules import list_services


def find_annotation_errors(
    tracks: tuple[RenderedTrack, ...], plan: ModelPlan
) -> Iterator[Diagnostic]:
    """Yields what Kubernetes refuses in annotations of Pods, Services and the Ingress."""
    by_deployment = {track.plan.deployment: track for track in tracks}
    stable = tracks[0]
    services, ingress = list_services(stable.settings), stable.settings.ingress
    for manifest in plan.manifests:
        if manifest.object_key:
            # The annotations of `objects` are checked with the rest of such an object.
            continue
        if manifest.kind == "Deployment":
            yield from _find_in_pods(by_deployment[manifest.name], manifest)
        elif manifest.kind == "Service":
            key, spec = manifest.part, mapping_in(manifest.object, "spec")
            path: KeyPath = ("services", key) if key else ("service",)
            ranges = bool(spec.get("loadBalancerSourceRanges"))
            errors = find_service_errors(
                _read(manifest), str(spec.get("type") or "ClusterIP"), has_ranges=ranges
            )
            own = services[key].annotations
            yield from _report(stable, errors, own, (*path, "annotations"), (*path, "type"))
        elif manifest.kind == "Ingress" and ingress:
            class_name = mapping_in(manifest.object, "spec").get("ingressClassName")
            field = "className" if class_name == ingress.class_name else "spec.ingressClassName"
            errors = find_ingress_errors(_read(manifest), class_name, field)
            path = ("ingress",)
            own = ingress.annotations
            yield from _report(stable, errors, own, (*path, "annotations"), (*path, "className"))


def _find_in_pods(track: RenderedTrack, manifest: Manifest) -> Iterator[Diagnostic]:
    template = mapping_in(mapping_in(manifest.object, "spec"), "template")
    annotations = mapping_in(mapping_in(template, "metadata"), "annotations")
    names = {str(container.fields.get("name")) for container in track.list_containers()}
    errors = find_pod_errors(annotations, names, has_node=bool(track.pod.get("nodeName")))
    yield from _report(track, errors, track.settings.pod_annotations, ("podAnnotations",))


def _report(
    track: RenderedTrack, errors: Iterable[Error], own: Annotations, path: KeyPath, *others: KeyPath
) -> Iterator[Diagnostic]:
    """Yields the errors of annotations in a setting; those in a patch are reported at the patch."""
    for name, message in errors:
        if name in own:
            yield track.report(SettingDiagnostic((*path, name), message, others=others))


def _read(manifest: Manifest) -> Annotations:
    return mapping_in(mapping_in(manifest.object, "metadata"), "annotations")
