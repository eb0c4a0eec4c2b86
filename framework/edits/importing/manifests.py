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

_ENDINGS = (".yaml", ".yml", ".json")
_TEMPLATE = re.compile(r"\{\{.*?\}\}")
# Written by the server, by kubectl or by Helm; no manifest needs them.
_SERVER_METADATA = frozenset(
    {
        "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation",
        "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid",
    }
)  # fmt: skip
_SERVER_ANNOTATIONS = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "autoscaling.alpha.kubernetes.io/",
    "pv.kubernetes.io/",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/selected-node",
    "meta.helm.sh/",
)


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
    """

    object: dict[str, Any]
    position: Position
    is_live: bool = False

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
            position = Position(path, node.start_mark.line + 1, node.start_mark.column + 1)
            yield from _unpack(loader.construct_document(node), position, diagnostics)
    except yaml.YAMLError as exc:
        mark = getattr(exc, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        message = f"not valid YAML: {getattr(exc, 'problem', None) or exc}"
        if _TEMPLATE.search(text):
            message = (
                "a Helm template; render it first: helm template NAME CHART | make import FILE=-"
            )
        diagnostics.append(Diagnostic(path, line, column, Code.SYNTAX, message))


def _unpack(value: Any, position: Position, diagnostics: list[Diagnostic]) -> Iterator[Source]:
    """Yields the object of a document, or the items of a list; nothing for an empty document."""
    if value is None:
        return
    if not isinstance(value, Mapping) or not isinstance(value.get("kind"), str):
        message = "is not a Kubernetes object; expected apiVersion, kind and metadata"
        diagnostics.append(position.diagnostic(Code.SYNTAX, message))
    elif isinstance(value.get("items"), list) and value["kind"].endswith("List"):
        for item in value["items"]:
            # The items of a typed list, such as DeploymentList, may leave out their own kind.
            typed = {"apiVersion": value.get("apiVersion"), "kind": value["kind"][:-4], **item}
            yield from _unpack(typed, position, diagnostics)
    elif not isinstance(value.get("metadata", {}), Mapping):
        diagnostics.append(position.diagnostic(Code.SYNTAX, "has metadata that is not a mapping"))
    else:
        metadata = value.get("metadata") or {}
        is_live = "uid" in metadata or "resourceVersion" in metadata
        yield Source(_without_server_fields(value), position, is_live)


def _without_server_fields(value: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {
        key: child
        for key, child in (value.get("metadata") or {}).items()
        if key not in _SERVER_METADATA
    }
    annotations = {
        key: str(child)
        for key, child in (metadata.pop("annotations", None) or {}).items()
        if not key.startswith(_SERVER_ANNOTATIONS)
    }
    if annotations:
        metadata["annotations"] = annotations
    kept = {key: child for key, child in value.items() if key not in ("status", "metadata")}
    cleaned: dict[str, Any] = _without_nulls({**kept, "metadata": metadata})
    return cleaned


def _without_nulls(value: Any) -> Any:
    """Drops null fields, as the API server does: Helm templates often leave `resources:` empty."""
    if isinstance(value, dict):
        return {str(k): _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
