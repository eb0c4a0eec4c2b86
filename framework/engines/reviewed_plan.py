"""The inputs of a preview as digests, and their comparison with those of a later preview.

A plan file holds the change list that was reviewed and these digests. `up` computes them again from
its own preview, and applies the plan only if nothing that matters differs:

    backend    the project's name and the place of the state, which decide what is recorded where
    code       framework/, the program of Pulumi.yaml with the project's own modules that it
               imports, the versions of Pulumi and of its Kubernetes provider
    catalog    each manifest and how it is registered; not the bytes of the YAML files
    state      the recorded inputs and options of each object; not outputs, which have timestamps
    live       the values of the fields that the manifest sets; not status and managedFields. Also
               of objects that are not recorded, and that `up` takes over
    changes    the change list, with the fields that others added and `up` would remove

Digests are of content, not of a commit: after a squash merge the commit is another one.

**Secrets.** A reader of the plan file also has the repository, and so knows everything except the
secret. A short password can be guessed from a plain digest within minutes, salted or not.
So there are two forms. With a passphrase (PULUMI_CONFIG_PASSPHRASE) a digest is an HMAC whose key
is derived from it as the key of the state is: guessing a value is as hard as decrypting the state.
Without one, secrets are left out before anything is digested. A changed secret is then noticed as
a change in the change list, which is enough for objects that the plan leaves alone. For one that
the plan changes it is not, so such a plan is not written.

**Gaps.** Objects are read up to ten seconds before they are written: a field that somebody changes
in between gets the planned value, and a field that somebody adds is left for `drift` to report. And
the CLI takes the lock of the stack itself: a command that starts and ends in the milliseconds
between our lock and that of the CLI is not noticed. On a remote backend we have no lock, so there
the same is true of any command between the preview and `pulumi up`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.core.changes import (
    Change,
    Difference,
    FieldChange,
    Op,
    PlanInputs,
    ReviewedChange,
)
from framework.core.redaction import REDACTED, redact, redact_text
from framework.engines.base import RecordedObject
from framework.engines.program_files import find_program_files
from framework.engines.project import Project, load_project
from framework.engines.values import find_model_secrets, list_objects
from framework.kube.object_diff import SECRET_PARTS, pruned
from framework.kube.objects import (
    ObjectState,
    encode_string_data,
    without_internal,
)
from framework.kube.property_path import without_ignored

if TYPE_CHECKING:
    from framework.engines.live_objects import Basis, ComparedObject
    from framework.plan import Manifest, StackPlan

# The rounds of Pulumi's passphrase provider: what protects the state protects the plan, too.
_ROUNDS = 1_000_000
_DIGITS = 32
# The key of what all models share. The other keys are those of objects.
ENVIRONMENT = "environment.yaml"
# Ends the key of a deleted object in a change list.
_DELETED = " (deleted)"


class Digests:
    """Computes the digests of one plan."""

    def __init__(self, salt: str, passphrase: str) -> None:
        """`passphrase` is "" where there is none."""
        self.salt, self.keyed = salt, bool(passphrase)
        self._key = _derive_key(passphrase, salt) if passphrase else salt.encode()

    def compute(self, tree: Any, secrets: Iterable[str] = ()) -> str:
        """Returns the digest of a tree of plain data. `secrets` are texts in it to leave out."""
        text = _render(tree) if self.keyed else _render_without_secrets(tree, secrets)
        return self._digest(text)

    def compute_checksum(self, document: Mapping[str, Any]) -> str:
        """Returns the checksum of a plan file's content, in which secrets are redacted already."""
        return self._digest(_render(document))

    def _digest(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()[:_DIGITS]


@lru_cache(maxsize=4)
def _derive_key(passphrase: str, salt: str) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt.encode(), _ROUNDS)


def _render(tree: Any) -> str:
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), default=str)


def _render_without_secrets(tree: Any, secrets: Iterable[str]) -> str:
    return redact_text(_render(_without_secrets(tree)), secrets)


def _without_secrets(tree: Any) -> Any:
    """Returns a tree without the values that may be secret. Redacts the data of every Secret."""
    if isinstance(tree, Mapping):
        kept = {key: _without_secrets(value) for key, value in tree.items()}
        if tree.get("kind") == "Secret":
            for part in SECRET_PARTS & kept.keys():
                kept[part] = dict.fromkeys(tree[part] or {}, REDACTED)
        return redact((), kept, of_manifest=True) if "kind" in tree else kept
    return [_without_secrets(item) for item in tree] if isinstance(tree, list) else tree


def has_secrets(manifest: Manifest, secrets: Iterable[str] = ()) -> bool:
    """Returns True if a value of a manifest may be secret, or has one of the secrets."""
    inputs = manifest.build_inputs()
    return _render(inputs) != _render_without_secrets(inputs, secrets)


def find_changed_secrets(plan: StackPlan, changes: Iterable[Change]) -> list[str]:
    """Returns the names of the objects that change and that have secret values."""
    manifests, secrets = _index_manifests(plan), _find_secrets(plan)
    keys = {_key(c.type, c.object) for c in changes if c.op not in (Op.SAME, Op.DELETE)}
    return sorted(
        describe_object(key)
        for key in keys
        if key in manifests and has_secrets(manifests[key], secrets[key])
    )


def _find_secrets(
    plan: StackPlan,
    recorded: Collection[RecordedObject] = (),
    live: Iterable[tuple[str, Mapping[str, Any]]] = (),
) -> Mapping[str, frozenset[str]]:
    """Returns the plain secrets of the model of each object, by the key of the object."""
    models = {_key(item.type, item.id): item.component for item in recorded}
    models |= {_key(item.type_token, item.id): model for model, item in plan.list_manifests()}
    secrets = find_model_secrets(list_objects(plan, recorded, live))
    return {key: secrets[model] for key, model in models.items()}


def compute_inputs(
    root: Path,
    plan: StackPlan,
    models: frozenset[str] | None,
    basis: Basis,
    changes: Iterable[Change],
    digests: Digests,
) -> PlanInputs:
    """Computes the digests of what a preview of these models was computed from."""
    manifests = _index_manifests(plan, models)
    # With a key, no digest leaves anything out.
    secrets = (
        {} if digests.keyed else _find_secrets(plan, basis.recorded.objects, basis.list_live())
    )
    replaced = {_key(c.type, c.object) for c in changes if c.op is Op.REPLACE}
    state, live = {}, {}
    for compared in basis.compared:
        recorded = compared.recorded
        key = _key(recorded.type, recorded.id)
        texts = recorded.secrets | secrets.get(key, frozenset())
        state[key] = digests.compute(_build_state(recorded), texts)
        leaving = key in replaced or key not in manifests
        tree = _build_live(compared, manifests.get(key), leaving=leaving)
        live[key] = digests.compute(tree, texts)
    for found in basis.unrecorded:
        manifest = found.manifest
        key = _key(manifest.type_token, found.live.id)
        tree = _build_values(found.live, manifest.build_inputs(), manifest.ignore_changes)
        live[key] = digests.compute(tree, secrets.get(key, ()))
    for urn, inputs in basis.recorded.providers.items():
        state[f"pulumi:providers:kubernetes {urn.rpartition('::')[2]}"] = digests.compute(inputs)
    catalog = {
        key: digests.compute(_build_catalog(manifest), secrets.get(key, ()))
        for key, manifest in manifests.items()
    }
    catalog[ENVIRONMENT] = digests.compute(
        {
            # Without the oldest version: it only decides which settings are refused, and a server
            # that is older is a problem of the preview.
            "cluster": {k: v for k, v in asdict(plan.cluster).items() if k != "oldest_version"},
            # A narrowed command does not touch the Namespace, the only object that it protects.
            "protect": plan.protect if models is None else None,
        }
    )
    project = load_project(root)
    return PlanInputs(
        salt=digests.salt,
        keyed=digests.keyed,
        project=project.name,
        backend=project.identify_backend(),
        cluster=basis.cluster,
        code=_build_code(project),
        catalog=dict(sorted(catalog.items())),
        state=dict(sorted(state.items())),
        live=dict(sorted(live.items())),
    )


def _index_manifests(plan: StackPlan, models: frozenset[str] | None = None) -> dict[str, Manifest]:
    """Returns the manifests of these models, of all and the Namespace with None, by key."""
    return {
        _key(manifest.type_token, manifest.id): manifest
        for _, manifest in plan.list_manifests(models)
    }


def _key(type_token: str, name: str) -> str:
    return f"{type_token} {name}"


def describe_object(key: str) -> str:
    """Returns `Deployment ml-prod/churn` for the key of a digest."""
    type_token, _, name = key.partition(" ")
    return f"{type_token.rpartition(':')[2]} {name}".strip()


def _build_catalog(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.logical_name,
        "inputs": manifest.build_inputs(),
        "timeout": manifest.timeout_seconds,
        "ignoreChanges": manifest.ignore_changes,
        "usedByPods": manifest.used_by_pods,
        "retain": manifest.retain,
    }


def _build_state(recorded: RecordedObject) -> dict[str, Any]:
    metadata = recorded.outputs.get("metadata") or {}
    return {
        "urn": recorded.urn,
        "provider": recorded.provider_urn,
        "inputs": without_internal(recorded.inputs),
        "fieldManager": recorded.field_manager,
        "uid": metadata.get("uid"),
        "ignoreChanges": recorded.ignore_changes,
        "protect": recorded.protect,
        "retain": recorded.retain_on_delete,
        # Not the texts, which name Pods.
        "unfinished": bool(recorded.init_errors),
    }


def _build_live(
    compared: ComparedObject, manifest: Manifest | None, *, leaving: bool
) -> dict[str, Any] | None:
    """Returns the values that `up` compares with the manifest; None for an object that is gone.

    Fields that others added are in the change list of an object that stays. One that is deleted or
    replaced is not compared by `up`, so its drift is added here.
    """
    if compared.live is None:
        return None
    shape = manifest.build_inputs() if manifest else compared.recorded.inputs
    ignored = manifest.ignore_changes if manifest else compared.recorded.ignore_changes
    drift = compared.comparison.fields if leaving else ()
    return {
        **_build_values(compared.live, shape, ignored),
        "drift": [(field.path, field.old, field.new) for field in drift],
    }


def _build_values(
    state: ObjectState, inputs: Mapping[str, Any], ignored: Iterable[str]
) -> dict[str, Any]:
    """Returns the UID of a live object, and its values of the fields that the inputs set."""
    live, shape = state.outputs, dict(inputs)
    if shape.get("kind") == "Secret":
        shape = encode_string_data(shape)
    shape = without_ignored(shape, live, ignored)
    return {
        "uid": live["metadata"].get("uid"),
        "values": pruned(without_internal(live), without_internal(shape), extra_items=False),
    }


def _build_code(project: Project) -> dict[str, str]:
    """Returns the digests of the code that applies a plan, and the versions of what it calls.

    Any byte counts, because no check can decide whether a change of code matters.
    """
    from importlib.metadata import version

    from framework.plan.cache import digest_package

    files = {
        os.path.relpath(path, project.root): path.read_bytes()
        for path in find_program_files(project.root, project.program)
    }
    return {
        "framework/": digest_package()[:_DIGITS],
        **{name: hashlib.sha256(text).hexdigest()[:_DIGITS] for name, text in files.items()},
        "pulumi": version("pulumi"),
        "pulumi-kubernetes": version("pulumi-kubernetes"),
    }


# Comparing


def find_differences(
    reviewed: PlanInputs,
    reviewed_changes: Mapping[str, ReviewedChange],
    now: PlanInputs,
    changes: Mapping[str, ReviewedChange],
) -> list[Difference]:
    """Returns everything that matters and differs; empty where `up` does what was reviewed.

    The changes are by the key of `key_change`.
    """
    sources: dict[str, list[str]] = {}
    for source, before, after in (
        ("catalog", reviewed.catalog, now.catalog),
        ("state", reviewed.state, now.state),
        ("live object", reviewed.live, now.live),
    ):
        for key in before.keys() | after.keys():
            if before.get(key) != after.get(key):
                sources.setdefault(key, []).append(source)
    # Where neither the manifest nor the record differs, others have added or removed a field.
    unexplained = "live object" if reviewed.code == now.code else "code"
    for key in reviewed_changes.keys() | changes.keys():
        if reviewed_changes.get(key) != changes.get(key):
            sources.setdefault(key.removesuffix(_DELETED), [unexplained])
    differences = [
        Difference(name, ("code",))
        for name in sorted(reviewed.code.keys() | now.code.keys())
        if reviewed.code.get(name) != now.code.get(name)
    ]
    for key, names in sorted(sources.items(), key=lambda item: (item[0] != ENVIRONMENT, item)):
        planned, current = (
            found.get(key) or found.get(key + _DELETED) for found in (reviewed_changes, changes)
        )
        differences.append(Difference(describe_object(key), tuple(names), planned, current))
    return differences


def key_change(change: Change) -> str:
    """Returns the key of a change: that of its object, marked where the object is deleted.

    An object may be deleted and created under one name, for example in another API group.
    """
    name = change.object or change.name
    return f"{_key(change.type, name)}{_DELETED if change.op is Op.DELETE else ''}"


def build_reviewed_change(change: Change) -> ReviewedChange:
    """Returns the part of a change that decides what `up` does.

    Not the note, the manager and the time of a field: they differ from one preview to the next.
    """
    # Through JSON, because the reviewed change has been in a file.
    fields = tuple(
        FieldChange(field.path, _as_json(field.old), _as_json(field.new)) for field in change.fields
    )
    return ReviewedChange(change.op, fields, change.takes_over)


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
