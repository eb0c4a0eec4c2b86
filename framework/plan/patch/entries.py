"""The entries of `patch` in the settings of a model, and the objects that each applies to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from framework.catalog import CatalogModel
from framework.core.diagnostics import Code, Diagnostic, KeyPath, SettingDiagnostic
from framework.core.field_paths import FieldPath
from framework.core.redaction import REDACTED, is_secret
from framework.core.suggestions import did_you_mean
from framework.kinds.kind import Manifest
from framework.kinds.naming import Track
from framework.kinds.registry import KINDS, find_kind
from framework.layers import Merged
from framework.plan.manifest import ModelPlan
from framework.plan.patch.merge import get_key
from framework.settings.messages import show_in

_TRACKS: tuple[Track, ...] = ("stable", "canary")


@dataclass(frozen=True)
class Patch:
    """One entry of `patch` in the settings of one track: `Deployment`, `Deployment/canary` or
    `Service/public`."""

    key: str
    content: Mapping[str, Any]
    merged: Merged
    model: CatalogModel

    @property
    def kind(self) -> str:
        return self.key.partition("/")[0]

    @property
    def part(self) -> str:
        """The track, key or name that limits the patch: `public` of `Service/public`; or ""."""
        return self.key.partition("/")[2]

    @property
    def per_track(self) -> bool:
        """True where each track has its own object of this kind."""
        kind = find_kind(self.kind)
        return kind is not None and kind.per_track

    def diagnostics(self, problem: SettingDiagnostic) -> Iterator[Diagnostic]:
        """Yields a diagnostic at the patched value; for `at_key`, one at the key in each layer."""
        path: KeyPath = ("patch", self.key, *problem.path)
        separator = "" if problem.message.startswith(":") else " "
        message = f"{FieldPath(path)}{separator}{problem.message}"
        redacted = is_secret(*name_items(self.content, problem.path))
        for position in self.model.locate(path, self.merged, at_key=problem.at_key):
            diagnostic = position.diagnostic(Code.BAD_PATCH, message, self.model.name)
            yield replace(diagnostic, redacted=redacted)

    def show(self, at: KeyPath, value: Any) -> str:
        """Renders a value of the patch for a message: REDACTED where it may be secret."""
        path, _ = name_items(self.content, at)
        if is_secret(path, value):
            return REDACTED
        return show_in(self.merged, ("patch", self.key, *at), value)

    def key_diagnostic(self, message: str) -> Diagnostic:
        """Returns a diagnostic at the key of the entry, such as `Deployment`."""
        path: KeyPath = ("patch", self.key)
        position, *_ = self.model.locate(path, self.merged, at_key=True)
        return position.diagnostic(Code.BAD_PATCH, message, self.model.name)


def name_items(content: Any, at: KeyPath) -> tuple[KeyPath, Any]:
    """Returns a path with every name that may show that its value is secret, and the value.

    Besides the keys, these are the `name` of a list item and the argument before an argument: for
    `{name: HUB_TOKEN, value: x}` it is `(..., "env", 0, "HUB_TOKEN", "value")`.
    """
    names: list[str | int] = []
    value = content
    for step in at:
        if isinstance(step, int) and step and isinstance(value[step - 1], str):
            names.append(value[step - 1])
        value = value[step]
        names += [step, str(value["name"])] if get_key(value, "name") else [step]
    return tuple(names), value


def list_patches(manifest: Manifest, plan: ModelPlan, model: CatalogModel) -> Iterator[Patch]:
    """Yields the patches of one manifest in the order in which they are applied."""
    if manifest.object_key:
        return
    parts = ("", *list_parts(manifest, plan))
    for patch in list_track_patches(model, manifest.track):
        if patch.kind == manifest.kind and patch.part in parts:
            yield patch


def list_parts(manifest: Manifest, plan: ModelPlan) -> tuple[str, ...]:
    """Returns what a key of `patch` may have behind the kind to name this manifest alone.

    That is its track if each track has its own. Otherwise it is its key in the settings, `public`
    of `services.public`, or its name. If another object has this name as its key, it is the key.
    """
    kind = find_kind(manifest.kind)
    if kind is not None and kind.per_track:
        return (manifest.track,)
    keys = {m.part for m in plan.manifests if m.kind == manifest.kind and not m.object_key}
    names = (manifest.name,) if manifest.name not in keys - {manifest.part} else ()
    return tuple(dict.fromkeys(filter(None, (manifest.part, *names))))


def list_track_patches(model: CatalogModel, track: Track) -> list[Patch]:
    """Returns the patches in a track's settings; sorted, so `Deployment` is applied before
    `Deployment/canary`, which may override it."""
    settings, merged = model.tracks[track]
    return [Patch(key, content, merged, model) for key, content in sorted(settings.patch.items())]


def find_key_diagnostics(plan: ModelPlan, model: CatalogModel) -> Iterator[Diagnostic]:
    """Yields a diagnostic for each entry of `patch` that matches no object of the model."""
    for patch in list_track_patches(model, "stable"):
        if message := _refuse_key(patch, plan):
            yield patch.key_diagnostic(message)
    if model.candidate is None:
        return
    for patch in list_track_patches(model, "canary"):
        # The candidate inherits the patches of the model. Only what it changes is checked here.
        if patch.content == model.settings.patch.get(patch.key):
            continue
        if message := _refuse_key(patch, plan):
            yield patch.key_diagnostic(message)
        elif not patch.per_track:
            yield patch.key_diagnostic(
                f"both tracks share one {patch.kind}; patch it in the model, not in its candidate"
            )
        elif patch.part == "stable":
            yield patch.key_diagnostic(
                f'"{patch.key}" is the stable track; patch it in the model, not in its candidate'
            )


def _refuse_key(patch: Patch, plan: ModelPlan) -> str:
    """Returns why an entry matches no object of the model, "" where it matches one."""
    known = find_kind(patch.kind)
    if known is None or (known.per_track and patch.part not in ("", *_TRACKS)):
        names = [kind.name for kind in KINDS]
        for_tracks = [f"{kind.name}/{t}" for kind in KINDS if kind.per_track for t in _TRACKS]
        kind, slash, _ = patch.key.partition("/")
        hint = did_you_mean(patch.key, for_tracks if slash else names) or did_you_mean(kind, names)
        hint = hint or f"expected one of {', '.join(names)}"
        return f'"{patch.key}" is not a kind of object that a model can have; {hint}'
    objects = [m for m in plan.manifests if m.kind == patch.kind and not m.object_key]
    if not objects:
        return f'"{patch.key}": this model has no {patch.kind}; {known.enabled_by}'
    parts = [list_parts(manifest, plan) for manifest in objects]
    if patch.part and not known.per_track and not any(patch.part in names for names in parts):
        # The first of the names of an object is its key, which stays when its name changes.
        expected = [f"{patch.kind}/{names[0]}" for names in parts if names]
        listed = f"one of {patch.kind}, {', '.join(expected)}" if len(objects) > 1 else patch.kind
        return f'"{patch.key}" is not an object of this model; expected {listed}'
    return ""
