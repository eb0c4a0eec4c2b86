"""Reads the settings of a container from a manifest: the inverse of framework/kinds/containers.py.

Each function returns settings as they are written in YAML. A field that the manifest leaves out
gets the default of Kubernetes here, because the framework or a profile may have another default. A
field that is not read here is not lost: `proof` finds that it is missing and adds it to `patch`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from framework.core.images import parse_image
from framework.plan.api_defaults import canonical_image, default_pull_policy

Settings = dict[str, Any]

# Fields of a security context that have the name of their setting, with the default of Kubernetes.
SECURITY: Settings = {
    "runAsNonRoot": False, "runAsUser": None, "runAsGroup": None, "readOnlyRootFilesystem": False,
    "allowPrivilegeEscalation": True, "privileged": False,
}  # fmt: skip
_RESTRICTED: Settings = {
    "runAsNonRoot": True, "allowPrivilegeEscalation": False, "dropCapabilities": ["ALL"],
    "seccomp": "RuntimeDefault",
}  # fmt: skip
_PROBES = (
    ("startupProbe", "startup"),
    ("readinessProbe", "readiness"),
    ("livenessProbe", "liveness"),
)
_PROBE_NUMBERS = (
    "initialDelaySeconds", "periodSeconds", "failureThreshold", "successThreshold",
    "terminationGracePeriodSeconds",
)  # fmt: skip
# Fields of a container that have the name of their setting.
_SAME_NAME = (
    "command", "args", "workingDir", "terminationMessagePath", "terminationMessagePolicy", "stdin",
    "stdinOnce", "tty",
)  # fmt: skip


def list_containers(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns all containers of a Pod, the init containers last."""
    return [*pod["containers"], *(pod.get("initContainers") or ())]


def read_process(container: Mapping[str, Any]) -> Settings:
    """Returns the settings that all containers have: command, variables, ports and resources."""
    settings: Settings = {key: container[key] for key in _SAME_NAME if key in container}
    settings["env"] = read_env(container.get("env") or ())
    settings["envFrom"] = read_env_from(container.get("envFrom") or ())
    settings["ports"] = read_ports(container.get("ports") or ())
    settings["resources"] = _read_resources(container.get("resources") or {})
    return settings


def _read_resources(resources: Mapping[str, Any]) -> Settings:
    """Returns requests, limits and claims; of a device only the limit, which its request equals."""
    limits = _read_quantities(resources.get("limits") or {})
    requests = {
        name: value
        for name, value in _read_quantities(resources.get("requests") or {}).items()
        if "/" not in name or limits.get(name) != value
    }
    claims = {
        str(claim.get("name")): {"request": claim["request"]} if claim.get("request") else {}
        for claim in resources.get("claims") or ()
    }
    found = {"requests": requests, "limits": limits, "claims": claims}
    return {key: value for key, value in found.items() if value}


def _read_quantities(quantities: Mapping[str, Any]) -> Settings:
    return {
        name: int(value) if re.fullmatch(r"\d+", str(value)) and "/" in name else str(value)
        for name, value in quantities.items()
    }


def read_image(container: Mapping[str, Any]) -> Settings:
    """Returns `image` of a model, in parts."""
    image = parse_image(canonical_image(str(container.get("image", ""))))
    policy = container.get("imagePullPolicy") or default_pull_policy(str(container.get("image")))
    parts = {**image._asdict(), "pullPolicy": policy}
    return {key: value for key, value in parts.items() if value}


def read_env(variables: Iterable[Mapping[str, Any]]) -> Settings:
    """Returns environment variables by name."""
    return {str(v.get("name")): _read_variable(v) for v in variables}


def _read_variable(variable: Mapping[str, Any]) -> Any:
    source = variable.get("valueFrom") or {}
    for kind, setting in (("secretKeyRef", "secret"), ("configMapKeyRef", "configMap")):
        if reference := source.get(kind):
            value = {setting: reference.get("name"), "key": reference.get("key")}
            return {**value, "optional": True} if reference.get("optional") else value
    if field := source.get("fieldRef"):
        return {"field": field.get("fieldPath")}
    if resource := source.get("resourceFieldRef"):
        names = {"resource": "resource", "containerName": "container", "divisor": "divisor"}
        return {names[key]: value for key, value in resource.items() if key in names}
    value = variable.get("value", "")
    # A Helm template without quotes renders numbers and booleans. The API server refuses them.
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_env_from(sources: Iterable[Mapping[str, Any]]) -> Settings:
    """Returns `envFrom` by the name of the Secret or ConfigMap."""
    settings: Settings = {}
    for source in sources:
        for kind, setting in (("secretRef", "secret"), ("configMapRef", "configMap")):
            if reference := source.get(kind):
                own: Settings = {setting: reference.get("name")}
                if source.get("prefix"):
                    own["prefix"] = source["prefix"]
                if reference.get("optional"):
                    own["optional"] = True
                settings[unused_name(str(reference.get("name")).replace(".", "-"), settings)] = own
    return settings


def unused_name(name: str, taken: Iterable[str]) -> str:
    """Returns `name`, or `name-2` and so on where it is taken."""
    names = set(taken)
    number, candidate = 2, name
    while candidate in names:
        candidate, number = f"{name}-{number}", number + 1
    return candidate


def read_ports(ports: Iterable[Mapping[str, Any]]) -> Settings:
    """Returns ports by name. `translation` has given a name to every port."""
    return {
        str(port.get("name")): {
            "containerPort": port.get("containerPort"),
            **({"protocol": port["protocol"]} if port.get("protocol", "TCP") != "TCP" else {}),
        }
        for port in ports
    }


def read_probes(container: Mapping[str, Any]) -> Settings:
    """Returns the probes of a container."""
    return {
        setting: _read_probe(container[field]) if container.get(field) else None
        for field, setting in _PROBES
    }


def _read_probe(probe: Mapping[str, Any]) -> Settings:
    settings: Settings = {key: probe[key] for key in _PROBE_NUMBERS if key in probe}
    # The framework waits two seconds by default, Kubernetes one.
    settings["timeoutSeconds"] = probe.get("timeoutSeconds", 1)
    return {**settings, **_read_action(probe)}


def _read_action(action: Mapping[str, Any]) -> Settings:
    settings: Settings = {k: action[k] for k in ("tcpSocket", "grpc", "exec") if action.get(k)}
    if http := action.get("httpGet"):
        settings["httpGet"] = {"path": "/", **http}
        if headers := http.get("httpHeaders"):
            settings["httpGet"]["httpHeaders"] = {h.get("name"): h.get("value") for h in headers}
    return settings


def read_lifecycle(container: Mapping[str, Any]) -> Settings:
    """Returns the lifecycle handlers of a container."""
    settings: Settings = {}
    for hook, handler in (container.get("lifecycle") or {}).items():
        if hook in ("postStart", "preStop"):
            settings[hook] = _read_action(handler)
            if "sleep" in handler:
                settings[hook]["sleepSeconds"] = handler["sleep"].get("seconds")
    return settings


def read_security(context: Mapping[str, Any]) -> Settings:
    """Returns `security` for a context that includes what the container inherits from the Pod.

    `standard` is the strictest one that adds no field to the context.
    """
    settings = _read_context(context)
    if all(settings.get(key) == value for key, value in _RESTRICTED.items()):
        own = {key: value for key, value in settings.items() if key not in _RESTRICTED}
        return {"standard": "restricted", **own}
    if settings.get("seccomp") == "RuntimeDefault":
        return {"standard": "baseline", **{k: v for k, v in settings.items() if k != "seccomp"}}
    return {"standard": "none", **settings}


def _read_context(context: Mapping[str, Any]) -> Settings:
    settings: Settings = {key: context[key] for key in SECURITY if key in context}
    capabilities = context.get("capabilities") or {}
    for field, setting in (("drop", "dropCapabilities"), ("add", "addCapabilities")):
        if capabilities.get(field):
            settings[setting] = list(capabilities[field])
    if seccomp := context.get("seccompProfile"):
        settings["seccomp"] = seccomp.get("type")
    return settings


def _read_own_security(context: Mapping[str, Any], model: Mapping[str, Any]) -> Settings:
    """Returns the security settings of a container that differ from the model's container."""
    own, other = _read_context(context), _read_context(model)
    unset = {**SECURITY, "dropCapabilities": [], "addCapabilities": [], "seccomp": "Unconfined"}
    return {
        key: own.get(key, unset[key])
        for key in unset
        if own.get(key) != other.get(key) and own.get(key, unset[key]) is not None
    }


def read_mounts(container: Mapping[str, Any]) -> list[tuple[str, Settings]]:
    """Returns the mounts of a container in order, each with the name of its volume."""
    mounts = []
    for mount in container.get("volumeMounts") or ():
        settings = {"path": mount.get("mountPath")}
        for key in ("readOnly", "subPath", "subPathExpr", "mountPropagation"):
            if mount.get(key):
                settings[key] = mount[key]
        mounts.append((str(mount.get("name")), settings))
    return mounts


def name_mounts(mounts: Iterable[tuple[str, Settings]]) -> Settings:
    """Returns `mounts`: by volume, or by another name where one volume is mounted several times."""
    named: Settings = {}
    for volume, mount in mounts:
        key = unused_name(volume, named)
        named[key] = mount if key == volume else {"volume": volume, **mount}
    return named


def read_extra_container(container: Mapping[str, Any], main: Mapping[str, Any]) -> Settings:
    """Returns the settings of a container beside `main`, which is the model's."""
    settings = {
        **read_process(container),
        "image": canonical_image(str(container.get("image", ""))),
        "mounts": name_mounts((volume, mount) for volume, mount in read_mounts(container)),
    }
    if policy := container.get("imagePullPolicy"):
        settings["pullPolicy"] = policy
    context, model = container.get("securityContext") or {}, main.get("securityContext") or {}
    settings["security"] = _read_own_security(context, model)
    return settings


def read_sidecar(container: Mapping[str, Any], main: Mapping[str, Any]) -> Settings:
    """Returns the settings of a container that runs as long as the model's."""
    return {
        **read_extra_container(container, main),
        "native": container.get("restartPolicy") == "Always",
        "probes": read_probes(container),
        "lifecycle": read_lifecycle(container),
    }
