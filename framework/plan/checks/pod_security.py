"""Checks a rendered Pod against the Pod Security Standards `baseline` and `restricted`.

The checks are those of k8s.io/pod-security-admission (`policy/check_*.go`), as far as the settings
and patches of a model can produce what they forbid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from framework.core.diagnostics import KeyPath
from framework.core.field_paths import FieldPath, ItemKey
from framework.plan.checks.pods import PodContainer, RenderedPod
from framework.plan.rendered import mapping_in, mappings_in, texts_in
from framework.settings.environment import PodSecurity

# A setting, and a message: what is wrong with it, and what is allowed or what to do.
Violation = tuple[KeyPath, str]

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
# Fields of the security context whose names differ from those of the settings.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "addCapabilities": ("capabilities", "add"),
    "dropCapabilities": ("capabilities", "drop"),
    "seccomp": ("seccompProfile",),
}
_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC")


def find_insecure(pod: RenderedPod, standard: PodSecurity) -> Iterator[Violation]:
    """Yields what the API server would refuse in a Namespace that enforces `standard`."""
    restricted = standard == "restricted"
    for field in _HOST_FIELDS:
        if pod.pod.get(field):
            message = f"{field} is true; expected false"
            yield pod.find_patched(field) or ("scheduling", field), message
    for volume in mappings_in(pod.pod, "volumes"):
        yield from _find_volume(pod, volume, restricted=restricted)
    shared = mapping_in(pod.pod, "securityContext")
    for container in pod.containers:
        context = {**shared, **mapping_in(container.fields, "securityContext")}
        where = f'container "{container.name}": ' if container.setting else ""
        for setting, message in _find_in_context(context, restricted=restricted):
            path, name = _find_cause(pod, container, setting)
            yield path, f"{where}{name} {message}"
        for port in mappings_in(container.fields, "ports"):
            if port.get("hostPort"):
                message = f"hostPort {port['hostPort']} is not allowed; expected no hostPort"
                patched = pod.find_patched(*container.steps, "ports")
                yield patched or (*container.setting, "ports"), where + message


def _find_cause(pod: RenderedPod, container: PodContainer, setting: str) -> tuple[KeyPath, str]:
    """Returns what decides a field of a container's security context, and its name in messages."""
    field = ("securityContext", *_FIELDS.get(setting, (setting,)))
    patched = pod.find_patched(*container.steps, *field)
    if not patched and field[1] not in mapping_in(container.fields, "securityContext"):
        # A container without the field gets it from the Pod's security context.
        patched = pod.find_patched(*field)
    if not patched and pod.in_object:
        patched = (*container.setting, *field)
    if patched:
        return patched, str(FieldPath(patched))
    # The container's own, the model's, or the default, which comes from `security.standard`. For
    # another container, that is reported at the container.
    written = ((*container.setting, "security", setting), ("security", setting))
    default = container.setting or ("security", "standard")
    path = next((path for path in written if path in pod.merged.origins), default)
    return path, f"security.{setting}"


def _find_volume(
    pod: RenderedPod, volume: Mapping[str, Any], *, restricted: bool
) -> Iterator[Violation]:
    for kind in sorted(volume.keys() - {"name"}):
        if kind == "hostPath" or (restricted and kind not in _RESTRICTED_VOLUMES):
            expected = ", ".join(sorted(_RESTRICTED_VOLUMES)) if restricted else "another kind"
            message = f'volume "{volume.get("name")}" is a {kind}; expected {expected}'
            name = str(volume.get("name"))
            patched = pod.find_patched("volumes", ItemKey(name), kind)
            yield patched or ("volumes", name), message


def _find_in_context(context: Mapping[str, Any], *, restricted: bool) -> Iterator[tuple[str, str]]:
    capabilities = mapping_in(context, "capabilities")
    added = set(texts_in(capabilities, "add"))
    if context.get("privileged"):
        yield "privileged", "is true; expected false"
    if beyond := ", ".join(sorted(added - _BASELINE_CAPABILITIES)):
        yield "addCapabilities", f"adds {beyond}; expected none of these"
    if mapping_in(context, "seccompProfile").get("type") == "Unconfined":
        yield "seccomp", "is Unconfined; expected RuntimeDefault"
    if not restricted:
        return
    for setting, safe in (("allowPrivilegeEscalation", False), ("runAsNonRoot", True)):
        if context.get(setting) is not safe:
            yield setting, f"must be set to {str(safe).lower()}"
    if context.get("runAsUser") == 0:
        yield "runAsUser", "is 0, which is root; expected another user"
    if "ALL" not in texts_in(capabilities, "drop"):
        yield "dropCapabilities", "keeps some; expected [ALL]"
    # Capabilities beyond the baseline are reported above.
    if beyond := ", ".join(sorted((added & _BASELINE_CAPABILITIES) - _RESTRICTED_CAPABILITIES)):
        yield "addCapabilities", f"adds {beyond}; expected only NET_BIND_SERVICE"
    if "seccompProfile" not in context:
        yield "seccomp", "is not set; expected RuntimeDefault"
