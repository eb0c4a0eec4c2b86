"""Ingress: the HTTP route from outside the cluster to a model's Service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from framework.core.kind_rules import KindRules
from framework.kinds.kind import NOT_AWAITED, Kind, Manifest, TrackInput
from framework.kinds.service import service_name


def build(track: TrackInput) -> Iterator[Manifest]:
    """Builds the Ingress where the settings ask for one."""
    ingress = track.settings.ingress
    if ingress is None:
        return
    settings = track.settings
    key = ingress.service or ""
    name = service_name(track.model, key, settings.services[key] if key else settings.service)
    backend = {"service": {"name": name, "port": {"name": ingress.port}}}
    path = {"path": ingress.path, "pathType": ingress.path_type, "backend": backend}
    spec: dict[str, Any] = {"rules": [{"host": ingress.host, "http": {"paths": [path]}}]}
    if ingress.class_name:
        spec["ingressClassName"] = ingress.class_name
    if ingress.tls_secret:
        spec["tls"] = [{"hosts": [ingress.host], "secretName": ingress.tls_secret}]
    yield Manifest(
        track.model,
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": track.build_metadata({**ingress.annotations, **NOT_AWAITED}),
            "spec": spec,
        },
    )


KIND = Kind(
    rules=KindRules("networking.k8s.io", "Ingress", propagation="Background"),
    build=build,
    enabled_by="set ingress",
)
