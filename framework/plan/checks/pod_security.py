"""The Pod Security Standards `baseline` and `restricted`, held against a rendered Pod.

Kept apart from the other rules because it is not ours: it follows k8s.io/pod-security-admission
(`policy/check_*.go`), as far as a Pod of ours can say what it forbids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.plan.checks.tracks import (
    PATCH,
    CheckedTrack,
    list_containers,
    mapping_in,
    mappings_in,
    texts_in,
)
from framework.schema.environment import PodSecurity
from framework.sources import KeyPath

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
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC")


def find_insecure(track: CheckedTrack, standard: PodSecurity) -> Iterator[Breach]:
    """What the API server would refuse in a Namespace that enforces `standard`."""
    for path, message in _find_all(track, restricted=standard == "restricted"):
        said = not track.patched or path in track.merged.origins
        yield path if said else PATCH, message


def _find_all(track: CheckedTrack, *, restricted: bool) -> Iterator[Breach]:
    for field in _HOST_FIELDS:
        if track.pod.get(field):
            yield ("scheduling", field), f"{field} is true; expected false"
    for volume in mappings_in(track.pod, "volumes"):
        yield from _find_volume(volume, restricted=restricted)
    pod = mapping_in(track.pod, "securityContext")
    for owner, container in list_containers(track):
        context = {**pod, **mapping_in(container, "securityContext")}
        where = f'container "{container.get("name")}": ' if owner else ""
        for setting, message in _find_in_context(context, restricted=restricted):
            path: KeyPath = owner or ("security", setting)
            yield path, f"{where}security.{setting} {message}"
        for port in mappings_in(container, "ports"):
            if port.get("hostPort"):
                message = f"port {port['hostPort']} of the node is taken; expected no hostPort"
                yield (*owner, "ports"), where + message


def _find_volume(volume: Mapping[str, Any], *, restricted: bool) -> Iterator[Breach]:
    for kind in sorted(volume.keys() - {"name"}):
        if kind == "hostPath" or (restricted and kind not in _RESTRICTED_VOLUMES):
            expected = ", ".join(sorted(_RESTRICTED_VOLUMES)) if restricted else "another kind"
            message = f'volume "{volume.get("name")}" is a {kind}; expected {expected}'
            yield ("volumes", str(volume.get("name"))), message


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
