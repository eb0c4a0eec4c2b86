"""Turns manifests into the entries of models, and proves that each entry renders to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from framework.catalog import CatalogLoader
from framework.core.errors import UnknownNameError, UsageError
from framework.core.field_paths import without_nulls
from framework.core.redaction import find_secret_texts, is_secret, redact_value
from framework.core.suggestions import list_names
from framework.edits.importing.comparison import remove_at
from framework.edits.importing.containers import SECURITY, Settings, list_containers
from framework.edits.importing.entry import add_missing, build_settings, diff_settings, render_entry
from framework.edits.importing.manifests import Source
from framework.edits.importing.profiles import (
    FEWEST_SHARED,
    choose_profiles,
    count_lines,
    find_shared,
    name_profile,
)
from framework.edits.importing.proof import Proof, open_loader, prove
from framework.edits.importing.reading import read_settings
from framework.edits.importing.translation import Translation, translate
from framework.edits.importing.workloads import Grouping, Workload, group_manifests, pod_labels
from framework.edits.new import check_syntax
from framework.files import find_catalog, list_environments
from framework.plan import ModelPlan
from framework.settings.model import Model

_OWNER_LABELS = ("owner", "team", "app.kubernetes.io/owner")
_LONGEST_NAME = 40
_FIRST = (
    "enabled", "owner", "description", "profiles", "image", "replicas", "startupSeconds", "command",
    "args", "resources", "env",
)  # fmt: skip


@dataclass
class Overlay:
    """The file of a model in one environment. `text` is its content, "" if nothing differs.

    `proof` compares the manifests of this environment with the model's objects in it.
    """

    environment: str
    path: str
    text: str = ""
    proof: Proof = field(default_factory=Proof)
    errors: tuple[str, ...] = ()


@dataclass
class Imported:
    """One imported model.

    `text` is the content of `path`. `errors` has the reasons if no valid model can be made.
    `secrets` are the variables with a plain value that looks like a secret. `plan` has the rendered
    objects, `wanted` all settings of the manifests.
    """

    name: str
    workload: Workload
    translation: Translation
    profiles: tuple[str, ...] = ()
    entry: Settings = field(default_factory=dict)
    text: str = ""
    proof: Proof = field(default_factory=Proof)
    secrets: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    plan: ModelPlan | None = None
    wanted: Model | None = None
    overlays: list[Overlay] = field(default_factory=list)
    lines_without_profiles: int = 0

    @property
    def path(self) -> str:
        """The file of the model."""
        return f"catalog/{self.name}.yaml"

    @property
    def lines(self) -> int:
        """The number of values that the entry sets."""
        return count_lines({k: v for k, v in self.entry.items() if k != "profiles"})


@dataclass(frozen=True)
class Import:
    """The result of reading some manifests.

    `leftovers` are the objects that belong to no model, each with the reason.
    """

    models: tuple[Imported, ...]
    leftovers: Mapping[Source, str]


def import_manifests(
    root: Path,
    sources: Sequence[Source],
    *,
    model: str | None = None,
    profiles: tuple[str, ...] | None = None,
    owner: str | None = None,
) -> Import:
    """Turns manifests into models. Nothing is written.

    `model` is a name or glob that selects Deployments. If nothing matches and there is only one
    Deployment, it is the name of the new model. `profiles` are used as given; None chooses those
    that fit best. Errors: UsageError.
    """
    grouping = group_manifests(sources)
    names = _name_models(grouping, model)
    imported = [
        _import_workload(root, workload, name, profiles, owner) for workload, name in names.items()
    ]
    return Import(tuple(imported), grouping.leftovers)


def _name_models(grouping: Grouping, pattern: str | None) -> dict[Workload, str]:
    """Returns the workloads to import, each with the name of its model."""
    workloads = grouping.workloads
    if not workloads:
        kinds = sorted({source.kind for source in grouping.leftovers})
        found = f" (they have {list_names(kinds)})" if kinds else ""
        raise UsageError(
            f"these manifests have no Deployment{found}; import makes a model from each "
            "Deployment, and a model can have objects of other kinds in `objects`"
        )
    chosen = list(workloads)
    if pattern is not None:
        chosen = [workload for workload in workloads if fnmatchcase(workload.name, pattern)]
        if not chosen and len(workloads) == 1:
            check_syntax(pattern)
            return {workloads[0]: pattern}
        if not chosen:
            raise UnknownNameError("Deployment", pattern, [w.name for w in workloads])
    names: dict[Workload, str] = {}
    for workload in chosen:
        name = _valid_name(workload.name)
        if name in names.values():
            other = next(w for w, taken in names.items() if taken == name)
            raise UsageError(
                f"{workload.deployment.position}: the Deployment {workload.name} would become the "
                f"model {name}, like the one at {other.deployment.position}; import one at a time, "
                "with MODEL="
            )
        names[workload] = name
    return names


def _valid_name(name: str) -> str:
    """Returns the name of a model for that of a Deployment, which may have dots and be longer."""
    valid = re.sub("[^a-z0-9-]+", "-", name.lower()).strip("-")[:_LONGEST_NAME].strip("-")
    valid = valid if valid[:1].isalpha() else f"m-{valid}"[:_LONGEST_NAME]
    return f"{valid[:34]}-model" if valid.endswith("-canary") else valid


def find_owner(workload: Workload) -> str | None:
    """Returns the team that a label of the manifest names; None without one."""
    metadata = workload.deployment.object["metadata"]
    labels = {**pod_labels(workload.deployment), **(metadata.get("labels") or {})}
    return next((str(labels[key]) for key in _OWNER_LABELS if labels.get(key)), None)


def _import_workload(
    root: Path,
    workload: Workload,
    name: str,
    profiles: tuple[str, ...] | None,
    owner: str | None,
) -> Imported:
    if errors := tuple(_find_faults(workload)):
        return Imported(name, workload, Translation(workload, name), errors=errors)
    translation = translate(workload, name)
    imported = Imported(name, workload, translation, secrets=_find_secrets(workload))
    wanted = read_settings(translation, owner or find_owner(workload) or "")
    if wanted is None:
        imported.errors = translation.errors
        return imported
    imported.wanted = wanted
    write_entry(root, imported, profiles)
    return imported


def _find_faults(workload: Workload) -> Iterator[str]:
    """Yields what makes it impossible to read settings from a workload."""
    where = workload.deployment.position
    if not workload.pod.get("containers"):
        yield f"{where}: the Deployment {workload.name} has no container"
        return
    containers = list_containers(workload.pod)
    if not all(container.get("name") for container in containers):
        yield f"{where}: a container of the Deployment {workload.name} has no name; give it one"
    elif without := [c["name"] for c in containers if not c.get("image")]:
        yield (
            f"{where}: the container {without[0]} of {workload.name} has no image; a Kustomize "
            "patch is only a part: render it first, with kustomize build"
        )


def write_entry(
    root: Path,
    imported: Imported,
    profiles: tuple[str, ...] | None,
    drafts: Mapping[str, str] | None = None,
) -> None:
    """Chooses the profiles, renders the entry, and compares the result; completes `imported`.

    `drafts` has the text of profiles that are not written yet, by path.
    """
    name, wanted, drafts = imported.name, imported.wanted, drafts or {}
    assert wanted is not None
    loader = open_loader(root, {**drafts, imported.path: ""})

    def inherit(names: tuple[str, ...]) -> Mapping[str, Any]:
        return loader.merge_inherited(name, names).data

    def build(names: tuple[str, ...]) -> Settings:
        return diff_entry(wanted, inherit(names))

    imported.lines_without_profiles = count_lines(build(()))
    choices = [profiles or ()]
    if profiles is None:
        best = choose_profiles(list(find_catalog(root).profiles), inherit, build)
        # Two profiles may give one key different types. No entry can merge that, so none is used.
        choices = [best, ()]
    for names in choices:
        imported.profiles, imported.errors = names, ()
        entry = {**build(names), "profiles": list(names)}
        for environment in list_environments(root):
            # What an environment sets by default for all models must not replace what the manifest
            # leaves to Kubernetes, or what equals the catalog's own default.
            below = open_loader(root, {**drafts, imported.path: ""}, environment)
            data = below.merge_inherited(name, names).data
            # For example, prod has `replicas: 3` by default, and the manifest has 1, which is also
            # the default of the catalog. Without `replicas: 1` in the entry, the model would have 3
            # replicas in prod.
            entry = add_missing(entry, diff_entry(wanted, data))
        imported.entry = order_entry(entry)
        _prove(root, imported, drafts)
        if not imported.errors:
            return


def diff_entry(wanted: Model, inherited: Mapping[str, Any]) -> Settings:
    """Returns the settings that an entry must have in addition to those that it inherits."""
    entry = diff_settings(wanted, inherited)
    below = inherited.get("security") or {}
    if security := entry.get("security"):
        # An inherited value that equals the default of Kubernetes needs no null.
        entry["security"] = {
            key: value
            for key, value in security.items()
            if value is not None or below.get(key) != SECURITY.get(key)
        }
        if not entry["security"]:
            del entry["security"]
    if wanted.rollout.strategy == "Recreate":
        # Kubernetes refuses these beside Recreate, so the manifest never has them.
        for key in ("maxSurge", "maxUnavailable"):
            entry.get("rollout", {}).pop(key, None)
    # The autoscaler decides, whatever `replicas` is.
    ignored = {"canary", "enabled", "patch", *(["replicas"] if wanted.autoscaling else [])}
    return {key: value for key, value in entry.items() if key not in ignored}


def order_entry(entry: Settings) -> Settings:
    """Returns an entry with the keys in the order that the verb `new` uses."""
    if not entry.get("profiles"):
        entry = {key: value for key, value in entry.items() if key != "profiles"}
    return {key: entry[key] for key in dict.fromkeys((*_FIRST, *entry)) if key in entry}


def _prove(root: Path, imported: Imported, drafts: Mapping[str, str]) -> None:
    """Writes the text of the entry, with the patches that it needs, and compares the result."""

    def load() -> CatalogLoader:
        imported.text = _render_text(imported, imported.entry)
        return open_loader(root, {**drafts, imported.path: imported.text})

    imported.plan, imported.proof, imported.errors = prove(
        imported.translation, imported.entry, load
    )


def render_redacted(imported: Imported) -> str:
    """Renders the file of a model without secrets.

    In the file itself a secret may be quoted or have several lines, so it would not be found there.
    """
    secrets = find_secret_texts([imported.entry, *imported.translation.objects])
    return _render_text(imported, redact_value(imported.entry, secrets))


def _render_text(imported: Imported, entry: Mapping[str, Any]) -> str:
    workload = imported.workload
    objects = [workload.deployment, *workload.companions]
    files = ", ".join(dict.fromkeys(source.position.path for source in objects))
    names = ", ".join(
        str(source) for source in objects if source not in imported.translation.unexpressed
    )
    comments = {key: "as in the manifest: none" for key, value in entry.items() if value is None}
    return render_entry(entry, comments, f"Imported from {files}: {names}")


def _find_secrets(workload: Workload) -> tuple[str, ...]:
    """Returns the variables whose plain value looks like a secret, with their container."""
    found = []
    for container in list_containers(workload.pod):
        for variable in container.get("env") or ():
            name, value = str(variable.get("name")), variable.get("value")
            if value and is_secret((name,), str(value)):
                found.append(name)
    return tuple(dict.fromkeys(found))


def propose_profile(root: Path, models: Sequence[Imported]) -> tuple[str, Settings]:
    """Returns the name and settings of a profile that the models could share; "" without one."""
    valid = [model for model in models if not model.errors]
    same = [model for model in valid if model.profiles == valid[0].profiles]
    shared = _keep_valid(find_shared([model.entry for model in same]))
    if not shared:
        return "", {}
    return name_profile(shared, list(find_catalog(root).profiles)), shared


def _keep_valid(shared: Settings) -> Settings:
    """Returns the settings that are valid without the others of a model.

    Models may share the timeout of a probe and not its action. A profile with such a part would be
    an error in every model that does not complete it.
    """
    kept = deepcopy(shared)
    alone = {**without_nulls(shared), "owner": "any", "image": {"repository": "any", "tag": "1"}}
    if "ports" not in shared:
        alone["service"] = {"enabled": False}
    _, refused = build_settings(alone)
    for path in refused:
        remove_at(kept, path)
    return kept if count_lines(kept) >= FEWEST_SHARED else {}


def use_profile(root: Path, models: Sequence[Imported], name: str, shared: Settings) -> str:
    """Lets the models list a new profile with these settings; returns the text of its file."""
    names = ", ".join(model.name for model in models)
    text = render_entry(shared, {}, f"The settings that {names} share.")
    profiles = models[0].profiles
    for model in models:
        if not model.errors and model.profiles == profiles:
            drafts = {f"catalog/_profiles/{name}.yaml": text}
            write_entry(root, model, (*model.profiles, name), drafts)
    return text
