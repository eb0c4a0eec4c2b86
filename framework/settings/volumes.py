"""Volumes of a Pod, and the paths at which containers mount them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from framework.core.diagnostics import Code, SettingDiagnostic
from framework.settings.amounts import find_unlikely
from framework.settings.base import Checked, find_not_one, one_of
from framework.settings.forms import Shorthand
from framework.settings.values import (
    AbsolutePath,
    ConfigKey,
    Definition,
    FileMode,
    FilePath,
    ImageReference,
    NodePath,
    ObjectName,
    PullPolicy,
    Quantity,
    RelativePath,
    ShortName,
)

AccessMode = Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]
_SOURCES = (
    "empty_dir", "claim", "config_map", "secret", "image", "host_path", "nfs", "csi", "ephemeral",
    "projected",
)  # fmt: skip
# The sources that each of these settings is allowed with.
_OPTIONS = {
    "items": ("config_map", "secret"),
    "optional": ("config_map", "secret"),
    "default_mode": ("config_map", "secret", "projected"),
    "host_path_type": ("host_path",),
    "pull_policy": ("image",),
}


class EmptyDir(Checked):
    """An empty directory, deleted with the Pod."""

    medium: Literal["", "Memory"] = ""
    """`Memory` for a tmpfs. Its content counts as memory of the container."""
    size_limit: Quantity | None = None
    """Largest size."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports a limit of a few bytes, which was meant in another unit."""
        if self.size_limit != "0":
            yield from _find_unlikely_size("sizeLimit", self.size_limit)


class Ephemeral(Checked):
    """A PersistentVolumeClaim for each Pod, deleted with the Pod."""

    size: Quantity
    """Requested size."""
    storage_class: ObjectName | None = None
    """Name of a StorageClass. Default: that of the cluster."""
    access_modes: Annotated[tuple[AccessMode, ...], Field(strict=False, min_length=1)] = (
        "ReadWriteOnce",
    )
    """Access of the nodes that mount the volume."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports a size of nothing, or of a few bytes."""
        yield from _find_unlikely_size("size", self.size)


def _find_unlikely_size(setting: str, size: str | None) -> Iterator[SettingDiagnostic]:
    if size is not None and (message := find_unlikely("storage", size)):
        yield SettingDiagnostic((setting,), message, Code.BAD_VALUE)


class Claim(Checked):
    """A PersistentVolumeClaim: the name of an existing one, or a mapping that creates one."""

    replaces = {
        **one_of("name", "size"),
        "name": frozenset({"size", "storageClass", "accessModes", "keep"}),
    }

    name: ObjectName | None = None
    """Name of an existing PersistentVolumeClaim. `claim: model-store` is short for it."""
    size: Quantity | None = None
    """Storage to request for a new PersistentVolumeClaim, `<model>-<volume>`. It may grow where the
    StorageClass allows it; Kubernetes refuses to shrink a claim."""
    storage_class: ObjectName | None = None
    """StorageClass of the new claim. Default: that of the cluster. It cannot change later; use a
    new volume name instead."""
    access_modes: Annotated[tuple[AccessMode, ...], Field(strict=False, min_length=1)] = (
        "ReadWriteOnce",
    )
    """Access modes of the new claim. They cannot change later. `ReadWriteOnce` lets only one node
    mount the claim: if an update with a surge schedules the new Pod to another node, it waits for
    ever."""
    keep: bool = True
    """Keep the new claim, and the data in it, when the volume or the model is removed. Deleting the
    Namespace deletes the claim in any case."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports a claim with both name and size, or neither, and options of an existing claim."""
        yield from _find_unlikely_size("size", self.size)
        if (self.name is None) == (self.size is None):
            has = "neither name nor size" if self.name is None else "both name and size"
            message = f"has {has}; expected the name of an existing claim, or the size of a new one"
            others = () if self.name is None else (("name",), ("size",))
            yield SettingDiagnostic((), message, others=others)
        elif self.name is not None:
            for option in ("storage_class", "access_modes", "keep"):
                if option in self.model_fields_set:
                    message = "applies only to a claim with a size; remove it"
                    yield SettingDiagnostic((to_camel(option),), message)


class Volume(Checked):
    """A volume: exactly one source, and its path in the model's container."""

    replaces = one_of(*map(to_camel, _SOURCES), options=tuple(map(to_camel, _OPTIONS)))

    mount_path: AbsolutePath | None = None
    """Absolute path in the model's container. Required, unless `mounts` of a container names the
    volume, or it is `injected`."""
    injected: bool = False
    """Set to true if only a container that an admission webhook adds to the Pods mounts the volume.
    Otherwise, a volume that no container mounts is an error."""
    read_only: bool = False
    """Mount without write access."""
    sub_path: RelativePath = ""
    """Mount only this folder of the volume."""
    empty_dir: EmptyDir | None = None
    """An empty directory."""
    claim: Annotated[Claim, Shorthand("name", ObjectName)] | None = None
    """Storage that outlives the Pods, such as for model weights."""
    config_map: ObjectName | None = None
    """Name of a ConfigMap."""
    secret: ObjectName | None = None
    """Name of a Secret."""
    image: ImageReference | None = None
    """Image whose files are mounted read-only (Kubernetes 1.33 or newer)."""
    host_path: NodePath | None = None
    """Path on the node."""
    nfs: Annotated[dict[str, Any], Definition("NFSVolumeSource")] | None = None
    """NFS export, in the form of Kubernetes: server, path."""
    csi: Annotated[dict[str, Any], Definition("CSIVolumeSource")] | None = None
    """Inline CSI volume, in the form of Kubernetes."""
    ephemeral: Ephemeral | None = None
    """A PersistentVolumeClaim for each Pod."""
    projected: Annotated[dict[str, Any], Definition("ProjectedVolumeSource")] | None = None
    """Several sources in one volume, in the form of Kubernetes: sources."""
    items: dict[ConfigKey, FilePath] = {}
    """Keys of the ConfigMap or Secret, each with its path in the volume. Default: all keys."""
    default_mode: FileMode | None = None
    """Mode of the files of a ConfigMap, Secret or projected volume, in octal digits: `"0440"`."""
    optional: bool = False
    """Start the Pod even if the ConfigMap or Secret does not exist."""
    host_path_type: (
        Literal[
            "DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice",
            "BlockDevice",
        ]
        | None
    ) = None  # fmt: skip
    """Type of the file or folder that must exist, or is created, at `hostPath`."""
    pull_policy: PullPolicy | None = None
    """When the kubelet pulls the image."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports several sources or none, and settings that belong to another source."""
        yield from find_not_one(self, *_SOURCES)
        given = {source for source in _SOURCES if getattr(self, source) is not None}
        if len(given) != 1:
            return
        for option, takers in _OPTIONS.items():
            if getattr(self, option) and not given & {*takers}:
                named = " or ".join(to_camel(taker) for taker in takers)
                yield SettingDiagnostic(
                    (to_camel(option),), f"is allowed with {named} only; remove it"
                )


class Mount(Checked):
    """The mount of a volume in a container."""

    replaces = one_of("subPath", "subPathExpr")

    path: AbsolutePath
    """Absolute path in the container."""
    volume: ShortName | None = None
    """Name of the volume. Default: the key of the mount. It allows several mounts of one volume."""
    read_only: bool = False
    """Mount without write access."""
    sub_path: RelativePath = ""
    """Mount only this folder of the volume."""
    sub_path_expr: RelativePath = ""
    """Mount only this folder; `$(NAME)` stands for an environment variable of the container."""
    mount_propagation: Literal["None", "HostToContainer", "Bidirectional"] | None = None
    """Propagation of later mounts: from the node to the container, in both directions, or `None`.
    Default: `None` (Kubernetes)."""

    def find_diagnostics(self) -> Iterator[SettingDiagnostic]:
        """Reports two folders for one mount."""
        if self.sub_path and self.sub_path_expr:
            message = "is a second folder beside subPath; remove one of them"
            yield SettingDiagnostic(("subPathExpr",), message, others=(("subPath",),))


Mounts = dict[ShortName, Annotated[Mount, Shorthand("path", AbsolutePath)]]
