"""The Pod Security Standards `baseline` and `restricted`, held against a rendered Pod.

Kept apart from the other rules because it is not ours: it follows k8s.io/pod-security-admission
(`policy/check_*.go`), as far as a Pod of ours can say what it forbids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.core.field_paths import FieldPath, ItemKey
from framework.plan.checks.tracks import (
    CheckedTrack,
    PodContainer,
    find_patched,
    list_containers,
    mapping_in,
    mappings_in,
    texts_in,
)
from framework.settings.environment import PodSecurity

Breach = tuple[KeyPath, str]

_BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
        "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
_RESTRICTED_CAPABILITIES = frozenset({"NET_BIND_SERVICE"})
_RESTRICTED_VOLUMES = frozenset(
    {
        "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image",
        "persistentVolumeClaim", "projected", "secret",
    }
)  # fmt: skip
# The fields that settings are rendered to, where they are not called the same.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "addCapabilities": ("capabilities", "add"),
    "dropCapabilities": ("capabilities", "drop"),
    "seccomp": ("seccompProfile",),
}
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC")


def find_insecure(track: CheckedTrack, standard: PodSecurity) -> Iterator[Breach]:
    """What the API server would refuse in a Namespace that enforces `standard`."""
    restricted = standard == "restricted"
    for field in _HOST_FIELDS:
        if track.pod.get(field):
            message = f"{field} is true; expected false"
            yield find_patched(track, field) or ("scheduling", field), message
    for volume in mappings_in(track.pod, "volumes"):
        yield from _find_volume(track, volume, restricted=restricted)
    pod = mapping_in(track.pod, "securityContext")
    for container in list_containers(track):
        context = {**pod, **mapping_in(container.fields, "securityContext")}
        where = f'container "{container.fields.get("name")}": ' if container.setting else ""
        for setting, message in _find_in_context(context, restricted=restricted):
            patched = _find_patched_context(track, container, setting)
            path: KeyPath = patched or container.setting or ("security", setting)
            yield (
                path,
                f"{where}{str(FieldPath(patched)) if patched else f'security.{setting}'} {message}",
            )
        for port in mappings_in(container.fields, "ports"):
            if port.get("hostPort"):
                message = f"port {port['hostPort']} of the node is taken; expected no hostPort"
                patched = find_patched(track, *container.steps, "ports")
                yield patched or (*container.setting, "ports"), where + message


def _find_patched_context(
    track: CheckedTrack, container: PodContainer, setting: str
) -> KeyPath | None:
    """Where a patch sets a field of the container's security context, or of the Pod's where the
    container's has none."""
    field = ("securityContext", *_FIELDS.get(setting, (setting,)))
    if patched := find_patched(track, *container.steps, *field):
        return patched
    own = mapping_in(container.fields, "securityContext")
    return None if field[1] in own else find_patched(track, *field)


def _find_volume(
    track: CheckedTrack, volume: Mapping[str, Any], *, restricted: bool
) -> Iterator[Breach]:
    for kind in sorted(volume.keys() - {"name"}):
        if kind == "hostPath" or (restricted and kind not in _RESTRICTED_VOLUMES):
            expected = ", ".join(sorted(_RESTRICTED_VOLUMES)) if restricted else "another kind"
            message = f'volume "{volume.get("name")}" is a {kind}; expected {expected}'
            name = str(volume.get("name"))
            patched = find_patched(track, "volumes", ItemKey(name), kind)
            yield patched or ("volumes", name), message


def _find_in_context(context: Mapping[str, Any], *, restricted: bool) -> Iterator[tuple[str, str]]:
    capabilities = mapping_in(context, "capabilities")
    added = set(texts_in(capabilities, "add"))
    if context.get("privileged"):
        yield "privileged", "is true; expected false"
    if beyond := ", ".join(sorted(added - _BASELINE_CAPABILITIES)):
        yield "addCapabilities", f"adds {beyond}; expected none of it"
    if mapping_in(context, "seccompProfile").get("type") == "Unconfined":
        yield "seccomp", "is Unconfined; expected RuntimeDefault"
    if not restricted:
        return
    for setting, safe in (("allowPrivilegeEscalation", False), ("runAsNonRoot", True)):
        if context.get(setting) is not safe:
            yield setting, f"must be said to be {str(safe).lower()}"
    if context.get("runAsUser") == 0:
        yield "runAsUser", "is 0, which is root; expected another user"
    if "ALL" not in texts_in(capabilities, "drop"):
        yield "dropCapabilities", "leaves some; expected [ALL]"
    # What is beyond the baseline is told above.
    if beyond := ", ".join(sorted((added & _BASELINE_CAPABILITIES) - _RESTRICTED_CAPABILITIES)):
        yield "addCapabilities", f"adds {beyond}; expected NET_BIND_SERVICE alone"
    if "seccompProfile" not in context:
        yield "seccomp", "is not set; expected RuntimeDefault"
