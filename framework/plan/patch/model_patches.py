"""Applies the `patch` of a model to its manifests, and refuses what a patch must not change.

A patch sets fields that no setting covers. It must not change fields that the checks compute with,
such as `spec.replicas`: then the checks of the rolling-update budget would be wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from framework.catalog import CatalogModel
from framework.core.diagnostics import Code, Diagnostic, KeyPath, SettingDiagnostic
from framework.core.env_references import order_variables
from framework.core.field_paths import FieldPath, ItemKey, get_at, name_path, paths_overlap
from framework.core.redaction import REDACTED, is_secret
from framework.core.suggestions import did_you_mean
from framework.kinds.kind import PROTECTED_EVERYWHERE, Manifest
from framework.kinds.naming import Track
from framework.kinds.registry import KINDS, find_kind
from framework.layers import Merged
from framework.plan.manifest import ModelPlan
from framework.plan.patch.field_checks import find_field_diagnostics
from framework.plan.patch.field_types import FieldType
from framework.plan.patch.merge import PatchError, apply_patch, find_touched, get_key, list_fields
from framework.plan.patch.rules import find_broken_rules
from framework.settings.messages import show, show_in

_TRACKS: tuple[Track, ...] = ("stable", "canary")


@dataclass(frozen=True)
class _Patch:
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
        positions = self.merged.key_positions(path) if problem.at_key else ()
        if not positions:
            positions = (self.model.position(path, self.merged),)
        for position in positions:
            diagnostic = position.diagnostic(Code.BAD_PATCH, message, self.model.name)
            yield replace(diagnostic, redacted=is_secret(*_name_items(self.content, problem.path)))

    def show(self, at: KeyPath, value: Any) -> str:
        """Renders a value of the patch for a message: REDACTED where it may be secret."""
        path, _ = _name_items(self.content, at)
        if is_secret(path, value):
            return REDACTED
        return show_in(self.merged, ("patch", self.key, *at), value)

    def key_diagnostic(self, message: str) -> Diagnostic:
        """Returns a diagnostic at the key of the entry, such as `Deployment`."""
        path: KeyPath = ("patch", self.key)
        positions = (*self.merged.key_positions(path), self.model.position(path, self.merged))
        return positions[0].diagnostic(Code.BAD_PATCH, message, self.model.name)


def _name_items(content: Any, at: KeyPath) -> tuple[KeyPath, Any]:
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


def patch_plan(plan: ModelPlan, model: CatalogModel) -> tuple[ModelPlan, list[Diagnostic]]:
    """Returns the plan with all valid patches applied, and the diagnostics of the others."""
    if not model.settings.patch and not (model.candidate and model.candidate.patch):
        return plan, []
    diagnostics = [*_find_key_diagnostics(plan, model), *_find_unused_diagnostics(plan, model)]
    manifests, patched_fields = [], {}
    for manifest in plan.manifests:
        fields: set[str] = set()
        for patch in _list_patches(manifest, plan, model):
            problems, patched = _apply(patch, manifest, plan)
            diagnostics += [d for problem in problems for d in patch.diagnostics(problem)]
            if not problems:
                manifest = patched
                fields |= {*list_fields(patch.kind, patch.content)}
        manifests.append(manifest)
        if fields:
            patched_fields[f"{manifest.kind}/{manifest.name}"] = tuple(sorted(fields))
    patched_plan = replace(plan, manifests=tuple(manifests), patched=patched_fields)
    # References are checked only after valid patches: a patch that was refused leaves old names.
    dangling = [] if diagnostics else [*_find_dangling_diagnostics(patched_plan, model)]
    return (plan, dangling) if dangling else (patched_plan, diagnostics)


def _apply(
    patch: _Patch, manifest: Manifest, plan: ModelPlan
) -> tuple[list[SettingDiagnostic], Manifest]:
    """Returns everything that is wrong with a patch, and the manifest with the patch applied."""
    problems = _find_problems(patch, manifest.object, plan)
    try:
        patched = apply_patch(manifest.object, patch.content)
    except PatchError as error:
        paths = {problem.path for problem in problems}
        return [*problems, *(p for p in error.diagnostics if p.path not in paths)], manifest
    # A rule compares values, so it needs values of the right type.
    problems = problems or [*_find_broken_rules(patch, manifest.object, patched)]
    return problems, replace(manifest, object=_order_variables(patched))


def _find_broken_rules(
    patch: _Patch, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[SettingDiagnostic]:
    """Yields the rules of the API server that the patched object breaks, at the patched value."""
    type_ = FieldType(patch.kind)
    # A rule that the unpatched object breaks is reported as an error of the settings already.
    kept = {problem.path for problem in find_broken_rules(before, type_, show)}

    def show_after(at: KeyPath, value: Any) -> str:
        # The patch may not have the value: another one has become wrong beside it.
        path, _ = _name_items(after, at)
        return REDACTED if is_secret(path, value) else show(path, value)

    for problem in find_broken_rules(after, type_, show_after):
        if problem.path in kept:
            continue
        paths = [name_path(path, before, after).steps for path in (problem.path, *problem.others)]
        # A rule is about a whole mapping, and the patch may set only a part of it, or the reverse.
        paths += [paths[0][:end] for end in range(len(paths[0]) - 1, -1, -1)]
        touched, steps = next(
            (touched, steps)
            for steps in paths
            if (touched := find_touched(patch.content, FieldPath(steps))) is not None
        )
        # The rest of the path to the value, or the whole one where the patch set another value.
        rest = paths[0][len(steps) :] if steps == paths[0][: len(steps)] else paths[0]
        message = f": {FieldPath(rest)} {problem.message}" if rest else problem.message
        yield problem._replace(path=touched, message=message, at_key=False)


def _order_variables(obj: dict[str, Any]) -> dict[str, Any]:
    """Returns a Deployment in which no variable stands before one that it refers to.

    A patch adds a variable at the end of the list, where the ones before it cannot use it.
    """
    pod = get_at(obj, ("spec", "template", "spec"))
    for kind in ("containers", "initContainers"):
        containers = pod.get(kind) if isinstance(pod, dict) else None
        for container in containers if isinstance(containers, list) else ():
            if isinstance(container, dict) and isinstance(container.get("env"), list):
                container["env"] = order_variables(container["env"])
    return obj


def _find_problems(
    patch: _Patch, manifest: Mapping[str, Any] | None, plan: ModelPlan
) -> list[SettingDiagnostic]:
    """Returns the errors of a patch, at most one for each path.

    These are the protected fields that it sets, and, outside of these, what the API would refuse.
    """
    protected = [*_find_protected(patch, autoscaled=any(track.autoscaled for track in plan.tracks))]
    problems = {problem.path: problem for problem in protected}
    for problem in find_field_diagnostics(patch.kind, patch.content, manifest, patch.show):
        if not any(paths_overlap(problem.path, other.path) for other in protected):
            problems.setdefault(problem.path, problem)
    return [*problems.values()]


def _find_protected(patch: _Patch, *, autoscaled: bool) -> Iterator[SettingDiagnostic]:
    kind = find_kind(patch.kind)
    fields = {**PROTECTED_EVERYWHERE, **(kind.protected if kind else {})}
    reported: set[KeyPath] = set()
    for field, reason in fields.items():
        touched = find_touched(patch.content, FieldPath.parse(field))
        if touched is None or touched in reported:
            continue
        reported.add(touched)
        if autoscaled and field == "spec.replicas":
            reason = "the autoscaler sets it; set autoscaling.minReplicas"
        yield SettingDiagnostic(touched, f"cannot be patched: {reason}", Code.BAD_PATCH)


def _list_patches(manifest: Manifest, plan: ModelPlan, model: CatalogModel) -> Iterator[_Patch]:
    """Yields the patches of one manifest in the order in which they are applied."""
    if manifest.object_key:
        return
    parts = ("", *list_parts(manifest, plan))
    for patch in _track_patches(model, manifest.track):
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


def _track_patches(model: CatalogModel, track: Track) -> list[_Patch]:
    """Returns the patches in a track's settings; sorted, so `Deployment` is applied before
    `Deployment/canary`, which may override it."""
    settings, merged = model.settings, model.merged
    if track == "canary" and model.candidate and model.candidate_merged:
        settings, merged = model.candidate, model.candidate_merged
    return [_Patch(key, content, merged, model) for key, content in sorted(settings.patch.items())]


def _find_key_diagnostics(plan: ModelPlan, model: CatalogModel) -> Iterator[Diagnostic]:
    """Yields a diagnostic for each entry of `patch` that matches no object of the model."""
    kinds: dict[str, list[Manifest]] = {}
    for manifest in plan.manifests:
        if not manifest.object_key:
            kinds.setdefault(manifest.kind, []).append(manifest)
    for patch in _track_patches(model, "stable"):
        if message := _refuse_key(patch, kinds, plan):
            yield patch.key_diagnostic(message)
    if model.candidate is None:
        return
    for patch in _track_patches(model, "canary"):
        # The candidate inherits the patches of the model. Only what it changes is checked here.
        if patch.content == model.settings.patch.get(patch.key):
            continue
        if message := _refuse_key(patch, kinds, plan):
            yield patch.key_diagnostic(message)
        elif not patch.per_track:
            yield patch.key_diagnostic(
                f"both tracks share one {patch.kind}; patch it in the model, not in its candidate"
            )
        elif patch.part == "stable":
            yield patch.key_diagnostic(
                f'"{patch.key}" is the stable track; patch it in the model, not in its candidate'
            )


def _refuse_key(patch: _Patch, kinds: Mapping[str, list[Manifest]], plan: ModelPlan) -> str:
    """Returns why an entry matches no object of the model, "" where it matches one.

    `kinds` has the objects of each kind.
    """
    known = find_kind(patch.kind)
    if known is None or (known.per_track and patch.part not in ("", *_TRACKS)):
        names = [kind.name for kind in KINDS]
        for_tracks = [f"{kind.name}/{t}" for kind in KINDS if kind.per_track for t in _TRACKS]
        kind, slash, _ = patch.key.partition("/")
        hint = did_you_mean(patch.key, for_tracks if slash else names) or did_you_mean(kind, names)
        hint = hint or f"expected one of {', '.join(names)}"
        return f'"{patch.key}" is not a kind of object that a model can have; {hint}'
    objects = kinds.get(patch.kind, [])
    if not objects:
        return f'"{patch.key}": this model has no {patch.kind}; {known.enabled_by}'
    parts = [list_parts(manifest, plan) for manifest in objects]
    if patch.part and not known.per_track and not any(patch.part in names for names in parts):
        # The first of the names of an object is its key, which stays when its name changes.
        expected = [f"{patch.kind}/{names[0]}" for names in parts if names]
        listed = f"one of {patch.kind}, {', '.join(expected)}" if len(objects) > 1 else patch.kind
        return f'"{patch.key}" is not an object of this model; expected {listed}'
    return ""


def _find_unused_diagnostics(plan: ModelPlan, model: CatalogModel) -> Iterator[Diagnostic]:
    """Yields the errors of canary patches in a model that has no candidate at the moment."""
    for patch in _track_patches(model, "stable") if model.candidate is None else ():
        if patch.part == "canary" and patch.per_track:
            for problem in _find_problems(patch, None, plan):
                yield from patch.diagnostics(problem)


# Dangling references: a patch may remove a volume or a port from one object while the same or
# another object still refers to it by name. Each object is valid by itself.

_POD = FieldPath(("spec", "template", "spec"))
_HOOKS = (
    FieldPath(("startupProbe",)),
    FieldPath(("livenessProbe",)),
    FieldPath(("readinessProbe",)),
    FieldPath(("lifecycle", "postStart")),
    FieldPath(("lifecycle", "preStop")),
)


class _DanglingReference(NamedTuple):
    """A name that refers to nothing.

    A patch of one of the `fields`, each a kind and a path, has caused it. The most likely one is
    the first.
    """

    message: str
    fields: tuple[tuple[str, FieldPath], ...]


def _find_dangling_diagnostics(plan: ModelPlan, model: CatalogModel) -> Iterator[Diagnostic]:
    """Yields a diagnostic for each dangling reference, at the first patch that may have caused it.

    References that dangle without any patch are not reported here: the settings are checked before.
    """
    services = [manifest for manifest in plan.manifests if manifest.kind == "Service"]
    service_patches = [
        patch for service in services for patch in _list_patches(service, plan, model)
    ]
    ingress = plan.find("Ingress")
    if ingress is not None:
        references = _find_dangling_backends(ingress.object, [s.object for s in services])
        yield from _blame(references, [*_list_patches(ingress, plan, model), *service_patches])
    for manifest in plan.manifests:
        if manifest.kind != "Deployment":
            continue
        patches = [*_list_patches(manifest, plan, model)]
        patches += service_patches
        yield from _blame(_find_dangling(manifest.object, [s.object for s in services]), patches)


def _blame(
    references: Iterable[_DanglingReference], patches: Iterable[_Patch]
) -> Iterator[Diagnostic]:
    """Yields a diagnostic for each reference at the first patch that touches one of its fields."""
    for reference in references:
        causes = (
            (patch, touched)
            for kind, path in reference.fields
            for patch in patches
            if patch.kind == kind and (touched := find_touched(patch.content, path)) is not None
        )
        if cause := next(causes, None):
            patch, touched = cause
            yield from patch.diagnostics(SettingDiagnostic(touched, f": {reference.message}"))


def _find_dangling(
    deployment: Mapping[str, Any], services: list[dict[str, Any]]
) -> Iterator[_DanglingReference]:
    pod = deployment["spec"]["template"]["spec"]
    containers = []
    for kind in ("initContainers", "containers"):
        for container in pod.get(kind, ()):
            containers.append(container)
            path = _POD.child(kind).child(ItemKey(container["name"]))
            yield from _find_dangling_hooks(container, path)
    for service in services:
        yield from _find_dangling_targets(service, containers)


def _find_dangling_hooks(
    container: Mapping[str, Any], path: FieldPath
) -> Iterator[_DanglingReference]:
    """Yields the named ports of probes and lifecycle hooks that the container does not have."""
    for hook in _HOOKS:
        for handler in ("httpGet", "tcpSocket"):
            steps = (*hook.steps, handler, "port")
            port: Any = container
            for step in steps:
                port = get_key(port, str(step))
            if _is_missing(port, _port_names(container)):
                yield _DanglingReference(
                    f'{container["name"]}\'s {hook.steps[-1]} uses port "{port}", which the '
                    "container does not have",
                    (
                        ("Deployment", FieldPath((*path.steps, *steps))),
                        ("Deployment", path.child("ports")),
                    ),
                )


def _find_dangling_backends(
    ingress: Mapping[str, Any], services: list[Mapping[str, Any]]
) -> Iterator[_DanglingReference]:
    """Yields the ports that an Ingress names and the model's Service of that name does not have."""
    ports_of = {
        service["metadata"]["name"]: service["spec"].get("ports") or () for service in services
    }
    for path, backend in _list_backends(ingress["spec"]):
        target = get_key(backend, "service")
        port = get_key(target, "port")
        wanted = get_key(port, "number") or get_key(port, "name")
        ports = ports_of.get(get_key(target, "name"))
        if ports is None or wanted is None:
            continue
        if wanted not in {port.get("name") for port in ports} | {port["port"] for port in ports}:
            names = ", ".join(sorted(str(port.get("name", port["port"])) for port in ports))
            yield _DanglingReference(
                f'the Ingress sends requests to port "{wanted}", which the Service does not have; '
                f"expected one of the ports: {names}",
                (("Ingress", path), ("Service", FieldPath(("spec", "ports")))),
            )


def _list_backends(spec: Mapping[str, Any]) -> Iterator[tuple[FieldPath, Any]]:
    yield FieldPath(("spec", "defaultBackend")), spec.get("defaultBackend")
    for rule in spec.get("rules") or ():
        for route in get_key(get_key(rule, "http"), "paths") or ():
            yield FieldPath(("spec", "rules")), get_key(route, "backend")


def _find_dangling_targets(
    service: Mapping[str, Any], containers: list[Mapping[str, Any]]
) -> Iterator[_DanglingReference]:
    path = FieldPath(("spec", "ports"))
    ports = service["spec"].get("ports")
    if not ports:
        yield _DanglingReference("no port is left; a Service needs one", (("Service", path),))
    names = {name for container in containers for name in _port_names(container)}
    lists = [
        _POD.child("containers").child(ItemKey(container["name"])).child("ports")
        for container in containers
    ]
    for port in ports or ():
        target = port.get("targetPort")
        if _is_missing(target, names):
            yield _DanglingReference(
                f'the Service targets port "{target}", which no container has',
                (
                    ("Service", path.child(port["port"]).child("targetPort")),
                    *(("Deployment", field) for field in (*lists, _POD.child("containers"))),
                ),
            )


def _is_missing(port: Any, names: set[str]) -> bool:
    """Returns True for the name of a port that is not among `names`; numbers need no name."""
    return isinstance(port, str) and not port.isdigit() and port not in names


def _port_names(container: Mapping[str, Any]) -> set[str]:
    return {port["name"] for port in container.get("ports", ()) if "name" in port}
