"""Turns the ConfigMaps that a container mounts into its setting `config`."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from framework.edits.importing.containers import list_containers, unused_name
from framework.settings.reserved import CONFIG_VOLUME, MODEL_CONTAINER, config_volume

if TYPE_CHECKING:
    from framework.edits.importing.manifests import Source
    from framework.edits.importing.translation import Translation


def translate_volume_names(result: Translation) -> None:
    """Renames the volumes that have a name which the framework uses for `config.files`."""
    volumes = result.pod.get("volumes") or []
    reserved = {config_volume(str(container["name"])) for container in list_containers(result.pod)}
    for volume in volumes:
        if volume.get("name") in reserved:
            taken = [*reserved, *(other.get("name") for other in volumes)]
            _rename_volume(result, volume, unused_name("files", taken))


def _rename_volume(result: Translation, volume: dict[str, Any], name: str) -> None:
    before = volume["name"]
    result.rename("volume", before, name)
    volume["name"] = name
    for container in list_containers(result.pod):
        for mount in container.get("volumeMounts") or ():
            if mount.get("name") == before:
                mount["name"] = name


def take_configs(result: Translation) -> None:
    """Turns each ConfigMap that exactly one volume contains into `config.files` of a container.

    If several containers mount it, the model's comes first. A container has at most one ConfigMap.
    """
    for source in result.workload.find_all("ConfigMap"):
        volume, reason = _find_config_volume(result, source)
        mounting = [
            str(container["name"])
            for container in list_containers(result.pod)
            for mount in container.get("volumeMounts") or ()
            if volume is not None and mount.get("name") == volume["name"]
        ]
        mounting.sort(key=lambda name: name != MODEL_CONTAINER)
        owner = next((name for name in mounting if name not in result.configs), "")
        if not reason and not owner:
            reason = "the container has other config files" if mounting else "nothing mounts it"
        if volume is None or reason:
            result.unexpressed[source] = reason
            continue
        _rename_volume(result, volume, config_volume(owner))
        result.configs[owner] = _read_config(result, source, volume, owner)
        obj = deepcopy(source.object)
        obj["metadata"].pop("namespace", None)
        result.objects.append(obj)


def _find_config_volume(result: Translation, source: Source) -> tuple[dict[str, Any] | None, str]:
    """Returns the volume with the files of a ConfigMap, or why it cannot be `config.files`."""
    volumes = [
        volume
        for volume in result.pod.get("volumes") or ()
        if (volume.get("configMap") or {}).get("name") == source.name
    ]
    others = sorted({"binaryData", "immutable"} & source.object.keys())
    if len(volumes) != 1:
        return None, "several volumes have its files" if volumes else "no volume has its files"
    if fields := sorted(volumes[0]["configMap"].keys() - {"name", "defaultMode"}):
        return None, f"its volume sets {fields[0]}"
    if others or not source.object.get("data"):
        return None, f"it has {others[0]}" if others else "it has no files"
    return volumes[0], ""


def _read_config(
    result: Translation, source: Source, volume: Mapping[str, Any], owner: str
) -> dict[str, Any]:
    # Without `name`, the ConfigMap would have a hash in its name. With `rollOnChange: true`, a
    # changed file would replace the Pods. An ordinary ConfigMap does neither.
    config: dict[str, Any] = {
        "name": source.name,
        "rollOnChange": False,
        "files": dict(source.object["data"]),
    }
    # 0644 is the default, which the server writes.
    if (mode := volume["configMap"].get("defaultMode", 0o644)) != 0o644:
        config["defaultMode"] = mode
    mount = find_config_mount(result.main) if owner == MODEL_CONTAINER else None
    if mount is not None:
        config = {"mountPath": mount["mountPath"], **config}
        # A ConfigMap is always mounted read-only, even if the manifest has readOnly: false.
        mount["readOnly"] = True
    return config


def find_config_mount(main: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the mount that `config.mountPath` describes: the first of the whole folder.

    The setting `mounts` describes the others, such as those of one file (`subPath`).
    """
    for mount in main.get("volumeMounts") or ():
        if mount.get("name") == CONFIG_VOLUME and mount.keys() <= {"name", "mountPath", "readOnly"}:
            found: dict[str, Any] = mount
            return found
    return None
