"""Rules of the API server for Pods and containers that compare several fields."""

from __future__ import annotations

import re
from collections.abc import Iterator

from framework.core.diagnostics import KeyPath, SettingDiagnostic
from framework.plan.annotations import find_pod_errors
from framework.plan.patch.rules.base import (
    Object,
    Rule,
    Show,
    broken,
    every,
    excludes,
    items,
    mapping,
    needs,
    needs_one_of,
    only_with,
    unique,
)
from framework.plan.patch.rules.fields import NOT_EMPTY, ONE_OF

_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
# Kubernetes: `terminationGracePeriodSeconds` of a Pod that has none.
_GRACE_SECONDS = 30
# What a Pod with `os: {name: windows}` must not set, in its securityContext and elsewhere.
_NOT_ON_WINDOWS = (
    "appArmorProfile", "fsGroup", "fsGroupChangePolicy", "runAsGroup", "runAsUser",
    "seLinuxChangePolicy", "seLinuxOptions", "seccompProfile", "supplementalGroups",
    "supplementalGroupsPolicy", "sysctls", "allowPrivilegeEscalation", "capabilities",
    "privileged", "procMount", "readOnlyRootFilesystem",
)  # fmt: skip
_POD_NOT_ON_WINDOWS = ("hostIPC", "hostPID", "hostUsers", "resources", "shareProcessNamespace")


def _containers(pod: Object) -> Iterator[tuple[KeyPath, Object]]:
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(items(pod, kind)):
            yield (kind, index), container


def _check_pod(pod: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if not pod["containers"]:
        yield broken(("containers",), "is empty; expected one container or more")
    if pod.get("ephemeralContainers"):
        yield broken(("ephemeralContainers",), "is set; a Pod template cannot have them")
    names = [((*path, "name"), container["name"]) for path, container in _containers(pod)]
    # Those of one list are reported as items with the same key.
    first = {name for path, name in names if path[0] == "initContainers"}
    for path, name in names:
        if path[0] == "containers" and name in first:
            yield broken(path, f"is {show(path, name)}, which an init container has too")
    yield from _check_host(pod, show)
    if pod.get("dnsPolicy") == "None" and not mapping(pod, "dnsConfig").get("nameservers"):
        yield broken(("dnsPolicy",), "is None, which needs dnsConfig.nameservers")
    yield from _check_system(pod)
    for path, container in _containers(pod):
        yield from _check_references(pod, path, container, show)
        yield from _check_in_pod(pod, path, container)


def _check_annotations(template: Object, show: Show) -> Iterator[SettingDiagnostic]:
    annotations = mapping(template, "metadata", "annotations")
    pod = mapping(template, "spec")
    names = {container["name"] for _, container in _containers(pod)}
    has_node = bool(pod.get("nodeName"))
    for name, message in find_pod_errors(annotations, names, has_node=has_node):
        yield broken(("metadata", "annotations", name), message, ("spec", "containers"))


def _check_host(pod: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks what a Pod shares with its node, and the name that it gives itself."""
    if pod.get("hostUsers") is False:
        for name in ("hostPID", "hostIPC"):
            if pod.get(name):
                yield broken((name,), "cannot be set with hostUsers: false")
    if pod.get("shareProcessNamespace") and pod.get("hostPID"):
        yield broken(("shareProcessNamespace",), "cannot be set together with hostPID")
    if pod.get("hostnameOverride") is not None:
        for name in ("hostNetwork", "setHostnameAsFQDN"):
            if pod.get(name):
                yield broken(("hostnameOverride",), f"cannot be set together with {name}: true")
    account, new = pod.get("serviceAccount"), pod.get("serviceAccountName")
    if account and new and account != new:
        yield broken(
            ("serviceAccount",), "differs from serviceAccountName, its new name; remove it"
        )
    for path, container in _containers(pod):
        for index, port in enumerate(items(container, "ports")):
            host = port.get("hostPort")
            if pod.get("hostNetwork") and host and host != port["containerPort"]:
                yield broken((*path, "ports", index, "hostPort"), "differs from the containerPort, "
                             "which hostNetwork: true does not allow")  # fmt: skip
    if pod.get("hostNetwork") is not True and _runs_on_host(pod):
        yield broken((), "has a container with hostProcess: true, which needs hostNetwork: true")


def _runs_on_host(pod: Object) -> bool:
    parts = [pod, *(container for _, container in _containers(pod))]
    return any(
        mapping(part, "securityContext", "windowsOptions").get("hostProcess") for part in parts
    )


def _check_system(pod: Object) -> Iterator[SettingDiagnostic]:
    """Checks that a Pod has no settings of another operating system."""
    system = mapping(pod, "os").get("name")
    contexts: list[tuple[KeyPath, Object]] = [
        ((*path, "securityContext"), mapping(part, "securityContext"))
        for path, part in [((), pod), *_containers(pod)]
    ]
    for path, context in contexts:
        if system == "linux" and context.get("windowsOptions") is not None:
            yield broken((*path, "windowsOptions"), "cannot be set with os.name: linux")
        for name in _NOT_ON_WINDOWS if system == "windows" else ():
            if context.get(name) not in (None, []):
                yield broken((*path, name), "cannot be set with os.name: windows")
    for name in _POD_NOT_ON_WINDOWS if system == "windows" else ():
        if pod.get(name) not in (None, False):
            yield broken((name,), "cannot be set with os.name: windows")
    for path, container in _containers(pod):
        if mapping(container, "lifecycle").get("stopSignal") and not system:
            yield broken((*path, "lifecycle", "stopSignal"), "needs os.name of the Pod")


def _check_references(
    pod: Object, path: KeyPath, container: Object, show: Show
) -> Iterator[SettingDiagnostic]:
    """Checks the names of volumes and claims that a container uses."""
    volumes = {volume["name"]: volume for volume in items(pod, "volumes")}
    for kind in ("volumeMounts", "volumeDevices"):
        for index, mount in enumerate(items(container, kind)):
            here: KeyPath = (*path, kind, index, "name")
            if mount["name"] not in volumes:
                message = f"is {show(here, mount['name'])}, which is not a volume of the Pod"
                yield broken(here, message, ("volumes",))
            elif kind == "volumeDevices" and not (
                {"persistentVolumeClaim", "ephemeral"} & volumes[mount["name"]].keys()
            ):
                yield broken(here, "is not a volume with a claim; a device needs one")
    claims = {claim["name"] for claim in items(pod, "resourceClaims")}
    for index, claim in enumerate(items(mapping(container, "resources"), "claims")):
        here = (*path, "resources", "claims", index, "name")
        if claim["name"] not in claims:
            message = f"is {show(here, claim['name'])}, which is not one of resourceClaims"
            yield broken(here, message, ("resourceClaims",))
    for index, variable in enumerate(items(container, "env")):
        file = mapping(variable, "valueFrom", "fileKeyRef")
        here = (*path, "env", index, "valueFrom", "fileKeyRef", "volumeName")
        if file and "emptyDir" not in volumes.get(file["volumeName"], {}):
            yield broken(here, "is not an emptyDir volume of the Pod; expected one", ("volumes",))


def _check_in_pod(pod: Object, path: KeyPath, container: Object) -> Iterator[SettingDiagnostic]:
    """Checks what depends on the Pod, or on being an init container."""
    # A hook that sleeps longer would be killed before its end, so the server refuses it.
    grace = pod.get("terminationGracePeriodSeconds", _GRACE_SECONDS)
    for hook in ("postStart", "preStop"):
        seconds = mapping(container, "lifecycle", hook, "sleep").get("seconds", 0)
        if seconds > grace:
            here: KeyPath = (*path, "lifecycle", hook, "sleep", "seconds")
            message = f"is {seconds}; expected at most terminationGracePeriodSeconds, {grace}"
            yield broken(here, message, ("terminationGracePeriodSeconds",))
    if mapping(container, "securityContext").get("procMount") == "Unmasked" and pod.get(
        "hostUsers", True
    ):
        here = (*path, "securityContext", "procMount")
        yield broken(here, "is Unmasked, which needs hostUsers: false")
    never = pod.get("restartPolicy") == "Never"
    # An init container that always restarts is a sidecar, which has probes and hooks like a
    # container.
    once = path[0] == "initContainers" and container.get("restartPolicy") != "Always"
    for index, policy in enumerate(items(container, "resizePolicy")):
        if (never or once) and policy["restartPolicy"] != "NotRequired":
            here = (*path, "resizePolicy", index, "restartPolicy")
            yield broken(here, 'expected "NotRequired" where a container does not restart')
    for name in ("lifecycle", *_PROBES) if once else ():
        if container.get(name) is not None:
            yield broken((*path, name), "cannot be set in an init container without "
                         "restartPolicy: Always")  # fmt: skip


def _check_container(container: Object, show: Show) -> Iterator[SettingDiagnostic]:
    for name in ("livenessProbe", "startupProbe"):
        if mapping(container, name).get("successThreshold", 1) not in (0, 1):
            yield broken((name, "successThreshold"), f"must be 1 in a {name}")
    if mapping(container, "readinessProbe").get("terminationGracePeriodSeconds") is not None:
        path: KeyPath = ("readinessProbe", "terminationGracePeriodSeconds")
        yield broken(path, "cannot be set: a readiness probe never stops a container")
    for name in _PROBES:
        if name in container and container[name] is not None:
            for problem in needs_one_of(*ONE_OF["Probe"])(container[name], show):
                yield problem._replace(path=(name, *problem.path))
    if container.get("restartPolicyRules") and container.get("restartPolicy") is None:
        yield broken(("restartPolicyRules",), "needs a restartPolicy with it")


def _check_mounts(container: Object, show: Show) -> Iterator[SettingDiagnostic]:
    privileged = mapping(container, "securityContext").get("privileged") is True
    for index, mount in enumerate(items(container, "volumeMounts")):
        if mount.get("mountPropagation") == "Bidirectional" and not privileged:
            yield broken(("volumeMounts", index, "mountPropagation"),
                         "is Bidirectional, which needs securityContext.privileged")  # fmt: skip
    devices = items(container, "volumeDevices")
    mounts = items(container, "volumeMounts")
    for index, device in enumerate(devices):
        for mount in mounts:
            if mount["name"] == device["name"] or mount["mountPath"] == device["devicePath"]:
                message = f"is the same volume or path as that of {mount['mountPath']}"
                yield broken(("volumeDevices", index), message)


def _check_mount(mount: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if mount.get("recursiveReadOnly") in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            yield broken(("recursiveReadOnly",), "needs readOnly: true")
        if mount.get("mountPropagation") not in (None, "None"):
            yield broken(("recursiveReadOnly",), "cannot be set with this mountPropagation")


def _check_profile(profile: Object, show: Show) -> Iterator[SettingDiagnostic]:
    """Checks a profile of seccomp or AppArmor."""
    name = profile.get("localhostProfile")
    if profile["type"] == "Localhost":
        if not name or name != name.strip():
            yield broken((), 'has type "Localhost"; expected localhostProfile with it')
        elif re.match(r"/|(.*/)?\.\.(/|$)", name):
            path: KeyPath = ("localhostProfile",)
            yield broken(path, f"is {show(path, name)}; expected a relative path without '..'")


def _check_privileges(context: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if context.get("allowPrivilegeEscalation") is not False:
        return
    path: KeyPath = ("allowPrivilegeEscalation",)
    if context.get("privileged"):
        message = "is false, which privileged: true does not allow"
        yield broken(path, message, ("privileged",))
    if "CAP_SYS_ADMIN" in items(mapping(context, "capabilities"), "add"):
        message = "is false, which the capability CAP_SYS_ADMIN does not allow"
        yield broken(path, message, ("capabilities", "add"))


def _check_handler_headers(action: Object, show: Show) -> Iterator[SettingDiagnostic]:
    if action.get("protocol") == "HTTP2":
        if action.get("scheme") == "HTTPS":
            yield broken(("protocol",), "is HTTP2, which needs scheme: HTTP")
        if action.get("host"):
            yield broken(("host",), "cannot be set with protocol: HTTP2")


def _check_windows(options: Object, show: Show) -> Iterator[SettingDiagnostic]:
    for name in ("gmsaCredentialSpec", "runAsUserName"):
        value = options.get(name)
        if value is not None and (not NOT_EMPTY.accepts(value) or re.search(r"[\x00-\x1f]", value)):
            yield broken((name,), f"is {show((name,), value)}; expected text that is not empty")


RULES: dict[str, Rule] = {
    "AppArmorProfile": every(_check_profile, only_with("type", "Localhost", "localhostProfile")),
    "ConfigMapEnvSource": needs("name"),
    "Container": every(
        _check_container,
        _check_mounts,
        unique("ports", "name", "port"),
        unique("volumeDevices", "name", "device"),
    ),
    "ContainerRestartRule": needs("exitCodes"),
    "EnvFromSource": needs_one_of(*ONE_OF["EnvFromSource"]),
    "EnvVarSource": needs_one_of(*ONE_OF["EnvVarSource"]),
    "HTTPGetAction": _check_handler_headers,
    "LifecycleHandler": needs_one_of(*ONE_OF["LifecycleHandler"]),
    "PodDNSConfigOption": needs("name"),
    "PodResourceClaim": needs_one_of(*ONE_OF["PodResourceClaim"]),
    "PodSecurityContext": unique("sysctls", "name", "sysctl"),
    "PodSpec": _check_pod,
    "PodTemplateSpec": _check_annotations,
    "ResourceClaim": needs("name"),
    "SeccompProfile": every(_check_profile, only_with("type", "Localhost", "localhostProfile")),
    "SecretEnvSource": needs("name"),
    "SecurityContext": _check_privileges,
    "VolumeMount": every(needs("name"), excludes("subPath", "subPathExpr"), _check_mount),
    "WindowsSecurityContextOptions": _check_windows,
}
