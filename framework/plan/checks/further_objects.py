"""Checks the objects of the setting `objects` before the API server has to refuse them.

The kinds of Kubernetes are checked against their definitions, as patches are. For a custom
resource, only the metadata is checked: only the server has its definition, and checks it in a
preview.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from framework.catalog import CatalogModel
from framework.core.diagnostics import Code, Diagnostic, KeyPath, SettingDiagnostic
from framework.core.field_paths import FieldPath
from framework.core.suggestions import suggest
from framework.kinds.kind import Manifest, written_metadata
from framework.kinds.naming import RESERVED_LABELS
from framework.kinds.objects import is_cluster_scoped
from framework.kube.objects import group_of
from framework.layers import Merged
from framework.plan.manifest import ModelPlan
from framework.plan.patch.field_checks import find_definition_diagnostics
from framework.plan.patch.field_types import (
    kubernetes_version,
    list_api_versions,
    list_kinds,
)
from framework.settings.environment import Environment
from framework.settings.messages import show_in

# Kinds that belong somewhere else, each with the way to get one.
_REFUSED: Mapping[tuple[str, str], str] = {
    ("apps", "Deployment"): "is a model of its own: add it to the catalog, or as a sidecar",
    ("apps", "ReplicaSet"): "is created by the Deployment of a model; add a model to the catalog",
    ("", "Pod"): "is created by the Deployment of a model; expected a Job, a sidecar or a model",
    ("", "Namespace"): "is created for the environment; set namespace in environment.yaml",
    ("", "Secret"): (
        "would be in Git as plain text; expected an object that fetches or decrypts it, such as "
        "an ExternalSecret or a SealedSecret, or a Secret made by hand that env or volumes name"
    ),
}
_LONGEST_NAME = 253
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SERVICE = re.compile("[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
# RBAC allows every name that can be a part of a URL's path.
_PATH_SEGMENT = re.compile(r"(?!\.{1,2}$)[^/%]+")


def find_further_object_errors(
    model: CatalogModel, plan: ModelPlan, environment: Environment
) -> Iterator[Diagnostic]:
    """Yields the errors in the objects of a model."""
    for manifest in plan.manifests:
        key = manifest.object_key
        if not key:
            continue
        content = model.settings.objects[key]
        problems = [*_find_kind(content, environment)]
        if not problems:
            problems += _find_metadata(content, manifest, environment)
            problems += _find_fields(content, key, model.merged)
        for problem in problems:
            path: KeyPath = ("objects", key, *problem.path)
            code = problem.code if problem.code is Code.POLICY else Code.BAD_OBJECT
            for position in model.locate(path, model.merged, at_key=problem.at_key):
                yield position.diagnostic(code, f"{FieldPath(path)} {problem.message}", model.name)


def _find_kind(content: Mapping[str, Any], environment: Environment) -> Iterator[SettingDiagnostic]:
    """Yields why a kind is refused, or does not exist."""
    version, kind = content["apiVersion"], content["kind"]
    group = group_of(version)
    if reason := _REFUSED.get((group, kind)):
        yield SettingDiagnostic(("kind",), f"{kind} {reason}")
        return
    groups = {group_of(known): known for known in list_api_versions()}
    if known := list_kinds(version):
        if kind not in known:
            message = f"{kind} is not a kind of {version}{suggest(kind, known)}"
            yield SettingDiagnostic(("kind",), message)
            return
    elif group in groups:
        message = f"{version} is not served by Kubernetes {kubernetes_version()}; expected "
        yield SettingDiagnostic(("apiVersion",), message + groups[group])
        return
    allowed = environment.policy.cluster_scoped_kinds
    if kind not in allowed and is_cluster_scoped(content):
        message = (
            f"{kind} belongs to no Namespace and so to all models of the cluster; expected a kind "
            "in a Namespace, or this one in policy.clusterScopedKinds of environment.yaml"
        )
        yield SettingDiagnostic(("kind",), message, Code.POLICY)


def _find_metadata(
    content: Mapping[str, Any], manifest: Manifest, environment: Environment
) -> Iterator[SettingDiagnostic]:
    """Yields what the metadata of an object must not have, and a name that the server refuses."""
    metadata = content.get("metadata", {})
    namespace = manifest.object["metadata"].get("namespace")
    if metadata.get("namespace", environment.namespace) != environment.namespace:
        message = f"differs from the environment's; remove it: {environment.namespace} "
        yield SettingDiagnostic(("metadata", "namespace"), f"{message}is added")
    elif "namespace" in metadata and is_cluster_scoped(
        content, environment.policy.cluster_scoped_kinds
    ):
        message = f"is set, but {manifest.kind} belongs to no Namespace; remove it"
        yield SettingDiagnostic(("metadata", "namespace"), message)
    for label in sorted(RESERVED_LABELS & metadata.get("labels", {}).keys()):
        message = "is set by the framework; remove it"
        yield SettingDiagnostic(("metadata", "labels", label), message, at_key=True)
    for field in (*written_metadata("metadata"), "metadata.generateName"):
        if (name := field.removeprefix("metadata.")) in metadata:
            reason = "a name must be known" if name == "generateName" else "the server writes it"
            yield SettingDiagnostic(("metadata", name), f"cannot be set: {reason}; remove it")
    if "status" in content:
        yield SettingDiagnostic(("status",), "cannot be set: the server writes it; remove it")
    yield from _find_name(manifest, namespace or "")


def _find_name(manifest: Manifest, namespace: str) -> Iterator[SettingDiagnostic]:
    name, group = manifest.name, group_of(str(manifest.object["apiVersion"]))
    form, expected = _SUBDOMAIN, "lower-case letters, digits, '-' and '.'"
    longest = _LONGEST_NAME
    if (group, manifest.kind) == ("", "Service"):
        form, expected = _SERVICE, "a letter, then lower-case letters, digits and '-'"
        longest = 63
    elif group == "rbac.authorization.k8s.io":
        form, expected = _PATH_SEGMENT, "text without '/' and '%'"
    if not form.fullmatch(name) or len(name) > longest:
        message = f'is "{name}"; expected {expected}, at most {longest} characters'
        yield SettingDiagnostic(("metadata", "name"), message)


def _find_fields(
    content: Mapping[str, Any], key: str, merged: Merged
) -> Iterator[SettingDiagnostic]:
    """Yields the fields that do not exist, are missing, or have a value that the server refuses."""
    definition, value = "ObjectMeta", content.get("metadata", {})
    below: KeyPath = ("metadata",)
    if content["kind"] in list_kinds(content["apiVersion"]):
        definition, below = content["kind"], ()
        value = {name: field for name, field in content.items() if name != "status"}

    def show_value(at: KeyPath, field: Any) -> str:
        return show_in(merged, ("objects", key, *below, *at), field)

    for problem in find_definition_diagnostics(definition, value, show_value):
        yield problem._replace(path=(*below, *problem.path))
