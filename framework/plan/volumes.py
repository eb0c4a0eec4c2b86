"""Volumes of a Pod, and where its containers mount them.

Kept apart from containers: every source of a volume has a shape of its own.
"""

from __future__ import annotations

from typing import Any

from framework.settings.container import Container
from framework.settings.model import Model
from framework.settings.rules import CONFIG_VOLUME
from framework.settings.volumes import EmptyDir, Ephemeral, Volume


def build_volumes(settings: Model, config_name: str | None) -> list[dict[str, Any]]:
    """Every volume; `config_name` is the ConfigMap of the model's files."""
    volumes = [{"name": name, **_build_source(volume)} for name, volume in settings.volumes.items()]
    if config_name:
        volumes.append({"name": CONFIG_VOLUME, "configMap": {"name": config_name}})
    return volumes


def build_model_mounts(settings: Model, config_name: str | None) -> list[dict[str, Any]]:
    """What the model's container mounts."""
    mounts = [
        _build_mount(name, volume.mount_path, volume.read_only, volume.sub_path)
        for name, volume in settings.volumes.items()
        if volume.mount_path
    ]
    if config_name and settings.config:
        mounts.append(_build_mount(CONFIG_VOLUME, settings.config.mount_path, True, ""))
    return mounts


def build_extra_mounts(settings: Container) -> list[dict[str, Any]]:
    """What an init container or a sidecar mounts."""
    return [
        _build_mount(volume, mount.path, mount.read_only, mount.sub_path)
        for volume, mount in settings.mounts.items()
    ]


def _build_mount(name: str, path: str, read_only: bool, sub_path: str) -> dict[str, Any]:
    mount: dict[str, Any] = {"name": name, "mountPath": path}
    if read_only:
        mount["readOnly"] = True
    if sub_path:
        mount["subPath"] = sub_path
    return mount


def _build_source(volume: Volume) -> dict[str, Any]:
    as_written = {"nfs": volume.nfs, "csi": volume.csi, "projected": volume.projected}
    for source, written in as_written.items():
        if written is not None:
            return {source: _with_mode(written, volume) if source == "projected" else written}
    if volume.empty_dir is not None:
        return {"emptyDir": _build_empty_dir(volume.empty_dir)}
    if volume.ephemeral is not None:
        return {"ephemeral": {"volumeClaimTemplate": {"spec": _build_claim(volume.ephemeral)}}}
    if volume.claim is not None:
        return {"persistentVolumeClaim": {"claimName": volume.claim}}
    if volume.host_path is not None:
        kind = {"type": volume.host_path_type} if volume.host_path_type else {}
        return {"hostPath": {"path": volume.host_path, **kind}}
    if volume.image is not None:
        policy = {"pullPolicy": volume.pull_policy} if volume.pull_policy else {}
        return {"image": {"reference": volume.image, **policy}}
    return _build_files(volume)


def _build_files(volume: Volume) -> dict[str, Any]:
    source = {"secretName": volume.secret} if volume.secret else {"name": volume.config_map}
    files = _with_mode(source, volume)
    if volume.items:
        files["items"] = [{"key": key, "path": path} for key, path in volume.items.items()]
    if volume.optional:
        files["optional"] = True
    return {"secret" if volume.secret else "configMap": files}


def _with_mode(source: dict[str, Any], volume: Volume) -> dict[str, Any]:
    mode = {} if volume.default_mode is None else {"defaultMode": volume.default_mode}
    return {**source, **mode}


def _build_empty_dir(scratch: EmptyDir) -> dict[str, Any]:
    fields = {"medium": scratch.medium, "sizeLimit": scratch.size_limit}
    return {key: value for key, value in fields.items() if value}


def _build_claim(claim: Ephemeral) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "accessModes": list(claim.access_modes),
        "resources": {"requests": {"storage": claim.size}},
    }
    return {**spec, "storageClassName": claim.storage_class} if claim.storage_class else spec
