"""Reads Kubernetes manifests as kubectl does: several documents, lists, YAML or JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from framework.core.diagnostics import Code, Diagnostic, Position
from framework.core.errors import ConfigError
from framework.kube.objects import MADE_BY_KUBERNETES
from framework.plan.api_defaults import find_shape_errors

_ENDINGS = (".yaml", ".yml", ".json")
# KEDA makes a HorizontalPodAutoscaler from each.
SCALED_OBJECT = "ScaledObject"
# The kinds whose objects belong to a Deployment by their fields. Objects of other kinds are kept as
# they are.
COMPANION_KINDS = frozenset(
    {
        "ConfigMap", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy",
        "PersistentVolumeClaim", "PodDisruptionBudget", SCALED_OBJECT, "Service", "ServiceAccount",
    }
)  # fmt: skip
_WITHOUT_SPEC = ("ConfigMap", "ServiceAccount")
_TEMPLATE = re.compile(r"\{\{.*?\}\}")
# Written by the server, by kubectl or by Helm; no manifest needs them.
_SERVER_METADATA = frozenset(
    {
        "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation",
        "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid",
    }
)  # fmt: skip
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_SERVER_ANNOTATIONS = (
    _LAST_APPLIED,
    "deployment.kubernetes.io/revision",
    "autoscaling.alpha.kubernetes.io/",
    "pv.kubernetes.io/",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/selected-node",
    "meta.helm.sh/",
)


# Fields of `spec` that the server assigns. They are wrong for any other object: an address can be
# used once.
_ASSIGNED: Mapping[str, frozenset[str]] = {
    "Service": frozenset({"clusterIP", "clusterIPs", "ipFamilies", "healthCheckNodePort"}),
    "PersistentVolumeClaim": frozenset({"volumeName"}),
}
# `kubectl rollout restart` writes it into the Pod template.
_RESTARTED = "kubectl.kubernetes.io/restartedAt"

_KUSTOMIZE_KINDS = ("Kustomization", "Component")
# With these keys alone, Kustomize renders the manifests as they are.
_KUSTOMIZE_PLAIN = frozenset({"apiVersion", "kind", "metadata", "namespace", "resources"})


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's loader, in which a date is text: JSON, which the API server takes, has no dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, eq=False)
class Source:
    """One object without the fields that the server writes, and the position of its document.

    `is_live` is True for an object that was read from a cluster, such as by `kubectl get -o yaml`.
    `removed` names the fields without which it is read, because the server has chosen them.
    """

    object: dict[str, Any]
    position: Position
    is_live: bool = False
    removed: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """The kind, such as `Deployment`."""
        return str(self.object["kind"])

    @property
    def name(self) -> str:
        """The name of the object."""
        return str(self.object["metadata"].get("name", ""))

    @property
    def namespace(self) -> str:
        """The Namespace as written; "" without one."""
        return str(self.object["metadata"].get("namespace", ""))

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def read_manifests(files: Iterable[str], standard_input: str = "") -> list[Source]:
    """Reads every object of these files, in order. `-` stands for `standard_input`.

    A folder stands for the YAML and JSON files below it. Errors: ConfigError with the errors of all
    files.
    """
    sources: list[Source] = []
    diagnostics: list[Diagnostic] = []
    for path, text in _read_texts(files, standard_input, diagnostics):
        sources += _parse(path, text, diagnostics)
    if diagnostics:
        raise ConfigError(diagnostics)
    return sources


def _read_texts(
    files: Iterable[str], standard_input: str, diagnostics: list[Diagnostic]
) -> Iterator[tuple[str, str]]:
    for name in files:
        if name == "-":
            yield "-", standard_input
            continue
        path = Path(name)
        found = [path]
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.suffix in _ENDINGS and p.is_file())
            if not found:
                message = "has no YAML or JSON file; name a file, or a folder with manifests"
                diagnostics.append(Diagnostic(name, 0, 0, Code.UNREADABLE, message))
        for file in found:
            try:
                yield file.as_posix(), file.read_bytes().decode("utf-8-sig")
            except (OSError, UnicodeDecodeError) as exc:
                reason = getattr(exc, "strerror", None) or "not UTF-8 text"
                message = f"cannot be read: {reason}"
                diagnostics.append(Diagnostic(file.as_posix(), 0, 0, Code.UNREADABLE, message))


def _parse(path: str, text: str, diagnostics: list[Diagnostic]) -> Iterator[Source]:
    try:
        loader = _Loader(text)
        while loader.check_node():
            node = loader.get_node()
            yield from _unpack(path, node, loader.construct_document(node), diagnostics)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"not valid YAML: {getattr(exc, 'problem', None) or exc}"
        if _TEMPLATE.search(text):
            message = (
                "a Helm template; render it first: helm template NAME CHART | make import FILE=-"
            )
        diagnostics.append(Diagnostic(path, line, column, Code.SYNTAX, message))


def _unpack(
    path: str, node: yaml.Node, value: Any, diagnostics: list[Diagnostic]
) -> Iterator[Source]:
    """Yields the object of a document, or the items of a list; nothing for an empty document."""
    if value is None:
        return
    position = Position(path, node.start_mark.line + 1, node.start_mark.column + 1)
    if isinstance(value, Mapping) and _is_kustomization(path, value):
        if message := _refuse_kustomization(value):
            diagnostics.append(position.diagnostic(Code.SYNTAX, message))
    elif not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
        message = "is not a Kubernetes object; expected apiVersion, kind and metadata"
        diagnostics.append(position.diagnostic(Code.SYNTAX, message))
    elif isinstance(value.get("items"), list) and value["kind"].endswith("List"):
        nodes: list[yaml.Node] = next(v.value for k, v in node.value if k.value == "items")
        for child, item in zip(nodes, value["items"], strict=True):
            if isinstance(item, Mapping):
                # The items of a typed list, such as DeploymentList, may leave out their own kind.
                item = {"apiVersion": value.get("apiVersion"), "kind": value["kind"][:-4], **item}
            yield from _unpack(path, child, item, diagnostics)
    elif errors := [*_find_shape_errors(_without_nulls(value))]:
        name = f"{value['kind']}: "
        diagnostics += [position.diagnostic(Code.SYNTAX, name + error) for error in errors]
    else:
        metadata = value["metadata"]
        is_live = "uid" in metadata or "resourceVersion" in metadata
        if is_live and (value["kind"], metadata.get("name")) in MADE_BY_KUBERNETES:
            return
        cleaned, removed = clean_object(value, is_live=is_live)
        yield Source(cleaned, position, is_live, removed)


def _find_shape_errors(obj: Mapping[str, Any]) -> Iterator[str]:
    """Yields what is missing or of a wrong type; the import expects correct mappings and lists."""
    if not isinstance(obj.get("apiVersion"), str):
        yield "apiVersion is missing; expected text such as apps/v1"
    metadata = obj.get("metadata")
    if not isinstance(metadata, Mapping) or not metadata.get("name"):
        yield "metadata.name is missing; expected the name of the object"
    elif not isinstance(metadata.get("annotations", {}), Mapping):
        yield "metadata.annotations has the wrong type; expected a mapping"
    elif obj["kind"] == "Deployment" or obj["kind"] in COMPANION_KINDS:
        if "spec" not in obj and obj["kind"] not in _WITHOUT_SPEC:
            yield "spec is missing; expected a mapping"
        yield from find_shape_errors(obj)


def _is_kustomization(path: str, value: Mapping[str, Any]) -> bool:
    # Kustomize finds the file by its name, so `kind` may be missing.
    return value.get("kind") in _KUSTOMIZE_KINDS or (
        "kind" not in value and Path(path).stem.lower() == "kustomization"
    )


def _refuse_kustomization(value: Mapping[str, Any]) -> str:
    """Returns why the manifests beside a Kustomize file are not what it renders; "" if they are."""
    resources = value.get("resources")
    outside = [r for r in resources or () if not str(r).endswith(_ENDINGS) or "../" in str(r)]
    if isinstance(resources, list) and value.keys() <= _KUSTOMIZE_PLAIN and not outside:
        return ""
    causes = sorted(value.keys() - _KUSTOMIZE_PLAIN) or [f"resources: {r}" for r in outside]
    return (
        f"is a Kustomize file ({', '.join(causes[:3])}), so the manifests beside it are not what "
        "it renders; import the result of `kustomize build FOLDER > rendered.yaml`"
    )


def clean_object(
    value: Mapping[str, Any], *, is_live: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Returns an object without what the server writes, and the names of the fields to mention.

    For a live object, this includes the addresses and ports that the server has assigned. A port of
    the nodes that was applied stays.
    """
    metadata = {
        key: child
        for key, child in (value.get("metadata") or {}).items()
        if key not in _SERVER_METADATA
    }
    annotations = metadata.pop("annotations", None) or {}
    if kept := {k: str(v) for k, v in annotations.items() if not k.startswith(_SERVER_ANNOTATIONS)}:
        metadata["annotations"] = kept
    if is_live:
        # Controllers add theirs again, such as kubernetes.io/pvc-protection.
        metadata.pop("finalizers", None)
    fields = {key: child for key, child in value.items() if key not in ("status", "metadata")}
    cleaned: dict[str, Any] = _without_nulls({**fields, "metadata": metadata})
    removed: list[str] = []
    spec = cleaned.get("spec")
    if is_live and isinstance(spec, dict):
        for key in _ASSIGNED.get(cleaned["kind"], ()):
            # A Service without an address is headless, which nobody but its author decides.
            if spec.get(key) != "None":
                spec.pop(key, None)
        if cleaned["kind"] == "Service":
            removed += _drop_node_ports(spec, str(annotations.get(_LAST_APPLIED, "")))
        template = spec.get("template")
        if isinstance(template, dict) and isinstance(template.get("metadata"), dict):
            (template["metadata"].get("annotations") or {}).pop(_RESTARTED, None)
    if is_live and cleaned["kind"] == "ServiceAccount":
        # Old servers have created a Secret with a token for each ServiceAccount.
        cleaned.pop("secrets", None)
    return cleaned, tuple(removed)


def _drop_node_ports(spec: Mapping[str, Any], applied: str) -> Iterator[str]:
    """Removes the node ports that are not in the applied manifest; yields their names."""
    for port in spec.get("ports") or ():
        number = port.get("nodePort") if isinstance(port, dict) else None
        if number is not None and f'"nodePort":{number}' not in applied.replace(" ", ""):
            del port["nodePort"]
            yield f"nodePort {number}"


def _without_nulls(value: Any) -> Any:
    """Drops null fields, as the API server does: Helm templates often leave `resources:` empty."""
    if isinstance(value, dict):
        return {str(k): _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
