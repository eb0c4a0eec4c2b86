"""Ownership of fields, partly with managedFields that the real CLI and kubectl have written."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.drift_rules import Injector
from framework.core.field_paths import MISSING, FieldPath
from framework.kube.lost_owners import with_owners
from framework.kube.managed_fields import (
    field_paths,
    find_foreign_parts,
    find_undeclared,
    owner_of,
    take_over_entries,
    unowned_paths,
)
from framework.kube.owned_paths import (
    build_fields,
    covers,
    describe_path,
    find,
    is_as_sent,
    without,
)
from framework.kube.patching import build_patch

OURS = "pulumi-kubernetes-58430e23"
REPLICAS = ("f:spec", "f:replicas")
MODEL = (*["f:spec", "f:template", "f:spec", "f:containers"], 'k:{"name":"model"}')
EXTRA = (*MODEL, "f:env", 'k:{"name":"EXTRA"}')
LABEL = ("f:metadata", "f:labels", "f:tier")


def entry(
    manager: str, *paths: tuple[str, ...], operation: str = "Update", **more: str
) -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "apps/v1",
        "fieldsType": "FieldsV1",
        "fieldsV1": build_fields(paths),
        "time": "2026-11-23T07:54:00Z",
        **more,
    }


def live(*entries: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "metadata": {"labels": {"tier": "x"}, "managedFields": list(entries)},
        "spec": {
            "replicas": 5,
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "model",
                            "env": [{"name": "A", "value": "1"}, {"name": "EXTRA", "value": "1"}],
                        }
                    ]
                }
            },
        },
    }


def owned_by(managed: list[dict[str, Any]] | None, manager: str) -> frozenset[tuple[str, ...]]:
    return frozenset(p for e in managed or [] if e["manager"] == manager for p in field_paths(e))


element = st.sampled_from(["f:a", "f:b", 'k:{"name":"x"}', 'v:"y"'])


@given(st.frozensets(st.lists(element, min_size=1, max_size=4).map(tuple), min_size=1))
def test_field_tree_holds_exactly_its_paths(paths: frozenset[tuple[str, ...]]) -> None:
    assert field_paths({"fieldsV1": build_fields(paths)}) == paths


@pytest.mark.parametrize(
    ("manager", "more", "folded"),
    [
        pytest.param("kubectl-set", {}, True, id="kubectl-update"),
        pytest.param("kubectl", {"operation": "Apply"}, True, id="kubectl-server-side-apply"),
        pytest.param("pulumi-kubernetes", {}, True, id="cli-create"),
        pytest.param("pulumi-resource-kubernetes", {}, True, id="older-cli-create"),
        pytest.param(OURS, {}, True, id="own-update"),
        pytest.param("kubectl", {"subresource": "scale"}, False, id="kubectl-scale"),
        pytest.param("kube-controller-manager", {"subresource": "scale"}, False, id="autoscaler"),
        pytest.param("k9s", {}, True, id="other-tool"),
        pytest.param("k9s", {"operation": "Apply"}, True, id="server-side-apply-of-another-tool"),
        pytest.param("kube-controller-manager", {}, False, id="controller"),
        pytest.param("aws-cloud-controller-manager", {}, False, id="cloud-controller"),
        pytest.param(f"{OURS}-handover", {"operation": "Apply"}, False, id="own-handover"),
        pytest.param("kubectl-set", {"apiVersion": "apps/v1beta1"}, False, id="other-version"),
    ],
)
def test_merge_folds_the_entries_of_everybody_but_controllers_and_subresources(
    manager: str, more: dict[str, str], folded: bool
) -> None:
    managed = [entry(OURS, REPLICAS, operation="Apply"), entry(manager, EXTRA, **more)]
    result = take_over_entries(managed, OURS, "apps/v1")
    assert (result is not None) is folded
    if folded:
        assert owned_by(result, OURS) == {REPLICAS, EXTRA}


def test_merge_without_an_apply_entry_makes_one() -> None:
    result = take_over_entries([entry("pulumi-kubernetes", REPLICAS)], OURS, "apps/v1")
    assert [(e["manager"], e["operation"]) for e in result or []] == [(OURS, "Apply")]


def test_ignored_paths_stay_with_their_owner() -> None:
    result = take_over_entries(
        [entry("kubectl-edit", REPLICAS, EXTRA)], OURS, "apps/v1", kept=[REPLICAS]
    )
    assert owned_by(result, "kubectl-edit") == {REPLICAS}
    assert owned_by(result, OURS) == {EXTRA}


def test_merge_gives_the_ownership_that_the_cli_gives(fixtures: Path) -> None:
    """The recorded steps are: kubectl set env and scale, then the CLI's `up --refresh` by force."""
    before, after = (
        next(
            o
            for o in json.loads((fixtures / step / "live.json").read_text())["items"]
            if o["kind"] == "Deployment"
        )
        for step in ("5-put-back-refused", "6-put-back-forced")
    )
    managed = before["metadata"]["managedFields"]
    result = take_over_entries(managed, OURS, "apps/v1")
    assert EXTRA in owned_by(result, OURS)
    expected = owned_by(after["metadata"]["managedFields"], OURS)
    # The apply after it removes the fields that are not sent, and takes those of kubectl's scale.
    assert {p for p in owned_by(result, OURS) if p[: len(EXTRA)] != EXTRA} | {REPLICAS} == expected


@pytest.mark.parametrize(
    ("entries", "sent", "recorded", "gone"),
    [
        pytest.param([entry("kubectl-set", EXTRA)], {}, {}, {EXTRA}, id="kubectl-alone"),
        pytest.param(
            [entry("kubectl-set", EXTRA), entry("kubelet", EXTRA)], {}, {}, set(), id="shared"
        ),
        pytest.param([entry("k9s", EXTRA)], {}, {}, {EXTRA}, id="other-tool"),
        pytest.param([entry("kubelet", EXTRA)], {}, {}, set(), id="controller"),
        pytest.param(
            [entry("kubectl-edit", REPLICAS)], {"spec": {"replicas": 2}}, {}, set(), id="sent"
        ),
        pytest.param([entry("pulumi-kubernetes", LABEL)], {}, {}, set(), id="cli-default"),
        pytest.param(
            [entry("pulumi-kubernetes", LABEL)],
            {},
            {"metadata": {"labels": {"tier": "x"}}},
            {LABEL},
            id="cli-input-dropped",
        ),
    ],
)
def test_unowned_paths_are_those_that_nobody_else_needs(
    entries: Any, sent: Any, recorded: Any, gone: set[tuple[str, ...]]
) -> None:
    assert unowned_paths(live(*entries), OURS, sent, recorded) == gone


LIMIT = ("f:spec", "f:revisionHistoryLimit")


def test_emptied_managed_fields_get_the_owner_of_what_is_not_recorded() -> None:
    """A default stays: it is recorded. Of a changed default, the server sets the former value."""
    emptied = live()
    emptied["spec"] |= {"revisionHistoryLimit": 3, "paused": False}
    recorded = deepcopy(emptied)
    recorded["spec"]["revisionHistoryLimit"] = 10
    del recorded["spec"]["template"]["spec"]["containers"][0]["env"][1]
    inputs = deepcopy(recorded)
    del inputs["spec"]["paused"], inputs["spec"]["revisionHistoryLimit"]
    owned = with_owners({**emptied, "kind": "Deployment"}, inputs, recorded)
    unowned = unowned_paths(owned, OURS, inputs, inputs)
    assert unowned == {EXTRA, (*EXTRA, "f:name"), (*EXTRA, "f:value"), LIMIT}
    merged = take_over_entries(owned["metadata"]["managedFields"], OURS, "apps/v1")
    assert unowned | {REPLICAS, LABEL, MODEL} <= owned_by(merged, OURS)
    assert ("f:spec", "f:paused") not in owned_by(merged, OURS)


@pytest.mark.parametrize("kind", ["Deployment", "PersistentVolumeClaim"])
def test_managed_fields_that_are_there_and_those_of_claims_stay(kind: str) -> None:
    found = {**live(*[entry(OURS, REPLICAS)] * (kind == "Deployment")), "kind": kind}
    assert with_owners(found, {}, {"spec": {}}) is found


def test_finalizers_of_controllers_stay_and_those_of_people_go() -> None:
    finalizer = ("f:metadata", "f:finalizers", 'v:"example.com/guard"')
    obj = live(entry("operator", finalizer))
    obj["metadata"]["finalizers"] = ["example.com/guard"]
    assert unowned_paths(obj, OURS, {}, {}) == set()
    obj["metadata"]["managedFields"][0]["manager"] = "kubectl-edit"
    assert unowned_paths(obj, OURS, {}, {}) == {finalizer}


def test_what_an_injector_may_add_stays_with_its_owner() -> None:
    obj = {"kind": "Deployment", **live(entry("mesh", EXTRA), entry("k9s", LABEL))}
    inputs = {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {}}
    patch = build_patch(obj, inputs, inputs, OURS, (), [Injector(manager="me*", path="*.env")])
    assert patch.unowned == {LABEL}
    managed = obj["metadata"]["managedFields"]
    merged = take_over_entries(managed, OURS, "apps/v1", patch.kept, patch.injected)
    assert owned_by(merged, "mesh") == {EXTRA}


PROXY = (*MODEL[:-1], 'k:{"name":"proxy"}')
IMAGE = (*PROXY, "f:image")
LATER = {"time": "2026-11-24T00:00:00Z"}


def with_proxy(*managed: dict[str, Any]) -> dict[str, Any]:
    obj = {"kind": "Deployment", **live(*managed)}
    proxy = {"name": "proxy", "image": "evil:2", "env": [{"name": "A", "value": "1"}]}
    obj["spec"]["template"]["spec"]["containers"].append(proxy)
    return obj


@pytest.mark.parametrize(
    ("managed", "found"),
    [
        pytest.param([entry("mesh", PROXY, (*PROXY, "f:name"), IMAGE)], {}, id="nothing-else"),
        pytest.param(
            [entry("mesh", PROXY, LABEL, **LATER), entry("kubectl-edit", IMAGE)],
            {IMAGE: "kubectl-edit"},
            id="injector-is-newer",
        ),
        pytest.param(
            [entry("mesh", PROXY), entry("kubectl-edit", IMAGE, **LATER)],
            {IMAGE: "kubectl-edit"},
            id="injector-is-older",
        ),
        pytest.param(
            [entry("mesh", PROXY, IMAGE), entry("other", IMAGE)], {}, id="injector-agrees"
        ),
        pytest.param(
            [entry("mesh", PROXY), entry("k9s", IMAGE), entry("kubectl-edit", IMAGE, **LATER)],
            {IMAGE: "kubectl-edit"},
            id="newest-of-two",
        ),
        pytest.param(
            [entry("mesh", PROXY, **LATER), entry(OURS, IMAGE, operation="Apply")],
            {IMAGE: OURS},
            id="taken-over-by-a-failed-update",
        ),
        pytest.param(
            [entry("mesh", IMAGE, **LATER), entry("k9s", PROXY, (*PROXY, "f:name"))],
            {PROXY: "k9s"},
            id="injector-changed-only-a-part",
        ),
        pytest.param(
            [
                entry("mesh", PROXY, (*PROXY, "f:env"), **LATER),
                entry("k9s", (*PROXY, "f:env", 'k:{"name":"A"}'), IMAGE),
            ],
            {IMAGE: "k9s", (*PROXY, "f:env", 'k:{"name":"A"}'): "k9s"},
            id="several-parts",
        ),
    ],
)
def test_parts_of_an_injected_field_that_others_own_are_found(
    managed: list[dict[str, Any]], found: dict[tuple[str, ...], str]
) -> None:
    path = FieldPath.parse("spec.template.spec.containers[proxy]")
    parts = find_foreign_parts(with_proxy(*managed), path, OURS, lambda name, _: name == "mesh")
    assert parts is not None
    assert {owned: item["manager"] for owned, item in parts.items()} == found


def test_injected_container_that_somebody_changed_is_removed_as_a_whole() -> None:
    inputs = {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {}}
    injectors = [Injector(manager="mesh", path="containers[proxy]")]
    mine = entry("mesh", PROXY, (*PROXY, "f:name"))
    obj = with_proxy(mine, entry("kubectl-edit", IMAGE))
    patch = build_patch(obj, inputs, inputs, OURS, (), injectors)
    assert {PROXY, IMAGE} <= patch.unowned
    assert patch.injected == frozenset()
    patch = build_patch(with_proxy(mine), inputs, inputs, OURS, (), injectors)
    assert patch.unowned == set()
    assert patch.injected == {("mesh", PROXY), ("mesh", (*PROXY, "f:name"))}


def test_own_fields_that_the_inputs_do_not_set_are_undeclared() -> None:
    obj = live(entry(OURS, LABEL, REPLICAS, EXTRA, operation="Apply"), entry("k9s", MODEL))
    inputs = {"metadata": {"labels": {}}, "spec": {"replicas": 5}}
    assert find_undeclared(obj, OURS, inputs) == {LABEL, EXTRA}


@pytest.mark.parametrize("value", ["", 0, False, {}])
def test_empty_own_field_that_the_inputs_do_not_set_is_undeclared(value: Any) -> None:
    left_out = ("f:spec", "f:paused")
    obj = live(entry(OURS, LABEL, left_out, operation="Apply"))
    obj["metadata"]["labels"]["tier"] = value
    assert find_undeclared(obj, OURS, {}) == {LABEL}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (EXTRA, "spec.template.spec.containers[model].env[EXTRA]"),
        (("f:metadata", "f:finalizers", 'v:"a.b/c"'), "metadata.finalizers[a.b/c]"),
        (("f:a", "i:3", "f:x.y/z"), 'a[3]["x.y/z"]'),
        (("f:ports", 'k:{"containerPort":80,"protocol":"TCP"}'), "ports[80]"),
    ],
)
def test_owned_path_as_people_read_it(path: tuple[str, ...], text: str) -> None:
    assert describe_path(path) == text


@pytest.mark.parametrize(
    ("entries", "kept"),
    [
        pytest.param([entry("kubectl-set", EXTRA)], [EXTRA], id="ignored"),
        pytest.param(
            [entry("kubectl-edit", LABEL), entry("pulumi-kubernetes", LABEL)],
            [LABEL],
            id="ignored-and-in-the-cli-create",
        ),
        pytest.param(
            [entry("kubectl-set", EXTRA, apiVersion="apps/v1beta1")], [], id="other-version"
        ),
    ],
)
def test_a_path_that_is_not_taken_over_is_not_predicted_to_be_removed(
    entries: Any, kept: list[tuple[str, ...]]
) -> None:
    recorded = {"metadata": {"labels": {"tier": "x"}}}
    assert take_over_entries(entries, OURS, "apps/v1", kept) is None
    assert unowned_paths(live(*entries), OURS, {}, recorded, kept) == set()


def test_without_removes_the_whole_list_item() -> None:
    paths = [EXTRA, (*EXTRA, "f:name"), (*EXTRA, "f:value")]
    cleaned = without(live(), paths)
    assert find(cleaned, EXTRA) is MISSING
    assert find(cleaned, (*MODEL, "f:env")) == [{"name": "A", "value": "1"}]


@pytest.mark.parametrize(
    ("paths", "path", "covered"),
    [
        pytest.param({REPLICAS}, REPLICAS, True, id="itself"),
        pytest.param({(*EXTRA, "f:value")}, EXTRA, True, id="below"),
        pytest.param(
            {("f:spec", "f:selector")}, ("f:spec", "f:selector", "f:a"), True, id="atomic"
        ),
        pytest.param({MODEL, (*MODEL, "f:image")}, EXTRA, False, id="beside"),
    ],
)
def test_paths_cover_themselves_what_is_above_and_what_an_atomic_field_has(
    paths: set[tuple[str, ...]], path: tuple[str, ...], covered: bool
) -> None:
    assert covers(frozenset(paths), path) is covered


@pytest.mark.parametrize(
    ("path", "manager"),
    [
        pytest.param("spec.replicas", "kubectl", id="scalar-by-subresource"),
        pytest.param(
            "spec.template.spec.containers[model].env[EXTRA]", "kubectl-set", id="list-item"
        ),
        pytest.param("metadata.labels", None, id="nobody"),
    ],
)
def test_owner_of_a_field_is_the_manager_that_wrote_it(path: str, manager: str | None) -> None:
    obj = live(
        entry("kubectl", REPLICAS, subresource="scale"),
        entry("kubectl-set", EXTRA, (*EXTRA, "f:value")),
        entry(OURS, MODEL, operation="Apply"),
    )
    found = owner_of(obj, FieldPath.parse(path))
    assert (found["manager"] if found else None) == manager


@pytest.mark.parametrize("path", ["ports[53]", "ports[53/UDP]"])
def test_owner_of_an_item_with_two_keys(path: str) -> None:
    port = ("f:ports", 'k:{"containerPort":53,"protocol":"UDP"}')
    found = owner_of(live(entry("kubectl-edit", port)), FieldPath.parse(path))
    assert found is not None
    assert found["manager"] == "kubectl-edit"


ZERO: dict[str, Any] = {
    "spec": {"replicas": 2, "minReadySeconds": 0, "list": [{"name": "a", "tty": False}]}
}
OWNED: dict[str, Any] = {
    "f:spec": {
        "f:replicas": {},
        "f:minReadySeconds": {},
        "f:list": {'k:{"name":"a"}': {".": {}, "f:name": {}, "f:tty": {}}},
    }
}


@pytest.mark.parametrize(
    ("live", "owned", "expected"),
    [
        pytest.param({"replicas": 2, "list": [{"name": "a"}]}, OWNED, True, id="left-out"),
        pytest.param({"replicas": 3, "list": [{"name": "a"}]}, OWNED, False, id="changed"),
        pytest.param({"replicas": 2, "list": []}, OWNED, False, id="removed-item"),
        pytest.param({"replicas": 2, "list": [{"name": "a"}]}, {"f:spec": {}}, True, id="atomic"),
        pytest.param({"replicas": 2, "list": [{"name": "a"}]}, None, False, id="nothing-owned"),
        pytest.param(
            {"replicas": 2, "list": [{"name": "a"}]},
            {"f:spec": {"f:replicas": {}, "f:minReadySeconds": {}}},
            False,
            id="removed-from-item",
        ),
        pytest.param(
            {"replicas": 2, "list": [{"name": "a"}]},
            {"f:spec": {**OWNED["f:spec"], "f:paused": {}}},
            False,
            id="more-owned-than-sent",
        ),
    ],
)
def test_object_is_as_sent_if_what_is_left_out_is_owned(
    live: dict[str, Any], owned: dict[str, Any] | None, expected: bool
) -> None:
    assert is_as_sent({"spec": live}, ZERO, owned) is expected
