"""Lists without keys, such as `args`: taken as a whole, and only what differs is edited."""

from __future__ import annotations

import random
from argparse import Namespace
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from framework.catalog import load_catalog
from framework.cli import remedies
from framework.core.field_paths import ROOT, FieldPath, get_at, resolve
from framework.core.stack import Stack
from framework.drift.report import DriftReport, Finding, FindingKind
from framework.drift.take import TakeResult, take_findings
from framework.drift.take_lists import ListChange, build_item_edits
from framework.edits.yaml_edit import build_change
from framework.kube.object_diff import compare_objects
from framework.plan.build import build_model
from tests.drift.sample_run import DEPLOYMENT, PROD, build_finding
from tests.trees import write_tree

ARGS = "spec.template.spec.containers[model].args"
CATALOG, OVERLAY = "catalog/chat.yaml", "environments/prod/models/chat.yaml"
CHAT = (
    "owner: team-nlp\n"
    "image: {repository: ghcr.io/acme/chat, tag: '1.0'}\n"
    "ports: {http: 8080}\n"
    "probes: {readiness: {httpGet: {path: /ready}}}\n"
)
FILES = {
    "catalog/_defaults.yaml": "rollout: {maxSurge: 1, maxUnavailable: 0}\n",
    "environments/dev/environment.yaml": "namespace: ml-dev\n",
    "environments/prod/environment.yaml": "namespace: ml-prod\n",
}
BLOCK = (
    "args:\n"
    "  # by name\n"
    "  - --model=${name}   # c1\n"
    "  - --tag=${image.tag}   # c2\n"
    "  - --workers=2   # c3\n"
)
RENDERED = ["--model=chat", "--tag=1.0", "--workers=2"]


def build_tree(root: Path, catalog: str = "", overlay: str = "") -> Path:
    files = {**FILES, CATALOG: CHAT + catalog}
    return write_tree(root, {**files, OVERLAY: overlay} if overlay else files)


def render(root: Path, environment: str = "prod") -> dict[tuple[str, str], dict[str, Any]]:
    catalog = load_catalog(root, Stack.of(environment))
    manifests = build_model(catalog.models[0], catalog.environment).manifests
    return {(manifest.kind, manifest.name): manifest.object for manifest in manifests}


def read(root: Path, path: str, name: str = "chat") -> Any:
    obj = render(root)["Deployment", name]
    steps = resolve(obj, FieldPath.parse(path))
    return None if steps is None else get_at(obj, steps)


def find_changes(root: Path, path: str, live: Any, name: str = "chat") -> list[Finding]:
    """Returns the findings of a check where the field at a path has another value."""
    old = render(root)["Deployment", name]
    new = render(root)["Deployment", name]
    steps = resolve(new, FieldPath.parse(path))
    assert steps is not None
    get_at(new, steps[:-1])[steps[-1]] = live
    fields = compare_objects(old, new)
    return [
        build_finding(
            FindingKind.ADDED if field.old is None else FindingKind.CHANGED,
            DEPLOYMENT, f"ml-prod/{name}", field.path, model="chat", desired=field.old,
            recorded=field.old, live=field.new, list_differences=len(fields),
        )
        for field in fields
    ]  # fmt: skip


def take(root: Path, path: str, live: Any, name: str = "chat") -> TakeResult:
    before = render(root, "dev")
    result = take_findings(root, PROD, reversed(find_changes(root, path, live, name)))
    assert render(root, "dev") == before
    return result


# The live list, and the overlay after `take`. Before, it is BLOCK.
EDITED = {
    "changed": (["--model=chat", "--tag=1.0", "--workers=4"], BLOCK.replace("=2", "=4")),
    "first": (["--new", *RENDERED], BLOCK.replace("args:\n", "args:\n  - --new\n")),
    "between": (
        [RENDERED[0], "--new", *RENDERED[1:]], BLOCK.replace("# c1\n", "# c1\n  - --new\n")
    ),
    "last": ([*RENDERED, "--a", "${HOME}"], BLOCK + '  - --a\n  - "\\\\${HOME}"\n'),
    "removed": (
        ["--model=chat", "--workers=2"], BLOCK.replace("  - --tag=${image.tag}   # c2\n", "")
    ),
    "moved": (
        ["--workers=2", *RENDERED[:2]],
        BLOCK.replace("  - --workers=2   # c3\n", "").replace(":\n", ":\n  - --workers=2\n"),
    ),
    "interpolated": (
        ["--model=chat", "--tag=9", "--workers=2"],
        BLOCK.replace("${image.tag}   #", "9              #"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", EDITED)
def test_only_items_that_differ_are_edited(tmp_path: Path, case: str) -> None:
    live, after = EDITED[case]
    root = build_tree(tmp_path, overlay=BLOCK)
    assert [item.reason for item in take(root, ARGS, live).not_taken] == []
    assert (root / OVERLAY).read_text() == after
    assert read(root, ARGS) == live


LIVE = ["--model=chat", "--tag=1.0", "--workers=4"]
# The catalog, the overlay, the live list, and what a file has afterwards.
WRITTEN = {
    "inherited": (
        BLOCK, "", LIVE, OVERLAY, 'args: ["--model=${name}", "--tag=${image.tag}", --workers=4]'
    ),
    "inherited-and-more": (BLOCK, "", [*RENDERED, "--x"], OVERLAY, "args: {append: [--x]}"),
    "flow": (
        "", "args: ['--model=${name}', --b]   # why\n", ["--a", "--model=chat"], OVERLAY,
        "args: [--a, '--model=${name}']   # why",
    ),
    "items": (
        "", "args: {items: ['${name}', --b]}\n", ["chat", "--c"], OVERLAY,
        "args: {items: ['${name}', --c]}",
    ),
    "appended": (
        "args: ['--tag=${image.tag}']\n", "args: {append: ['${name}', --x]}   # prod\n",
        ["--tag=1.0", "chat", "--y"], OVERLAY, "args: {append: ['${name}', --y]}   # prod",
    ),
    "literal": (
        "", "args: {items: ['${HOME}', --b], interpolate: false}\n", ["${HOME}", "${PATH}"],
        OVERLAY, 'args: {items: [\'${HOME}\', "${PATH}"], interpolate: false}',
    ),
    "read-here-only": (
        BLOCK, "", LIVE, CATALOG, BLOCK.replace("=2", "=4"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRITTEN)
def test_list_keeps_its_form_and_interpolations(tmp_path: Path, case: str) -> None:
    catalog, overlay, live, file, text = WRITTEN[case]
    root = build_tree(tmp_path, catalog, overlay)
    if file == CATALOG:
        write_tree(root, {"environments/dev/models/chat.yaml": "args: [--dev]\n"})
    assert [item.reason for item in take(root, ARGS, live).not_taken] == []
    assert text in (root / file).read_text()
    assert read(root, ARGS) == live


def test_list_of_a_sidecar_keeps_its_interpolations(tmp_path: Path) -> None:
    sidecar = "sidecars: {log: {image: 'a/log:1', args: ['${name}', --b]}}\n"
    root = build_tree(tmp_path, overlay=sidecar)
    path = "spec.template.spec.initContainers[log].args"
    assert read(root, path) == ["chat", "--b"]
    assert [item.reason for item in take(root, path, ["chat", "--c"]).not_taken] == []
    assert "args: ['${name}', --c]" in (root / OVERLAY).read_text()


def test_field_of_an_item_without_key_is_edited_alone(tmp_path: Path) -> None:
    path = "spec.template.spec.tolerations"
    text = "scheduling:\n  tolerations:\n    - key: ${name}   # why\n      operator: Exists\n"
    root = build_tree(tmp_path, overlay=text)
    live = [{"key": "chat", "operator": "Exists", "effect": "NoSchedule"}]
    assert [item.reason for item in take(root, path, live).not_taken] == []
    assert text in (root / OVERLAY).read_text()
    assert read(root, path) == live


def test_canary_gets_its_own_list_with_interpolations(tmp_path: Path) -> None:
    canary = "canary: {candidate: {image: {tag: '2.0'}}, size: 1}\n"
    root = build_tree(tmp_path, "args: ['--tag=${image.tag}', --b]\n" + canary)
    result = take(root, ARGS, ["--tag=2.0", "--c"], "chat-canary")
    assert [item.reason for item in result.not_taken] == []
    assert read(root, ARGS) == ["--tag=1.0", "--b"]
    assert read(root, ARGS, "chat-canary") == ["--tag=2.0", "--c"]
    assert "--tag=${image.tag}" in (root / OVERLAY).read_text()


CANARY = "canary: {candidate: {image: {tag: '2.0'}}, size: 1}\n"
SIDECAR = "sidecars: {log: {image: 'a/log:1', args: [--x, --y]}}\n"


@pytest.mark.parametrize(
    ("catalog", "path", "live"),
    [
        pytest.param("args: [--x, --y]\n", ARGS, ["--z", "--y"], id="args"),
        pytest.param("args: [--x, '\\${HOME}']\n", ARGS, ["--z", "${HOME}"], id="escaped"),
        pytest.param(SIDECAR, "spec.template.spec.initContainers[log].args", ["--x"], id="sidecar"),
    ],
)
def test_list_that_the_canary_shares_is_patched(
    tmp_path: Path, catalog: str, path: str, live: list[str]
) -> None:
    root = build_tree(tmp_path, catalog + CANARY)
    before = read(root, path, "chat-canary")
    # Later changes edit the items of the patch.
    for changed in (live, [*live, "--w"], ["--v", *live[1:]]):
        result = take(root, path, changed)
        assert [item.reason for item in result.not_taken] == []
        assert result.taken[0].setting.startswith("patch")
        assert read(root, path) == changed
        assert read(root, path, "chat-canary") == before


def test_items_of_a_patch_keep_interpolations_and_comments(tmp_path: Path) -> None:
    items = "\n".join(f"            {line.strip()}" for line in BLOCK.splitlines()[1:])
    patch = (
        "patch:\n  Deployment/stable:\n    spec:\n      template:\n        spec:\n"
        f"          containers:\n          - name: model\n            args:\n{items}\n"
    )
    root = build_tree(tmp_path, CANARY, patch)
    result = take(root, ARGS, [*RENDERED[:2], "--workers=4", "--new"])
    assert [item.reason for item in result.not_taken] == []
    edited = patch.replace("workers=2", "workers=4") + "            - --new\n"
    assert (root / OVERLAY).read_text() == edited


def test_list_with_interpolations_that_the_canary_shares_is_refused(tmp_path: Path) -> None:
    root = build_tree(tmp_path, "args: ['--name=${name}', --y]\n" + CANARY)
    (refused, *_) = take(root, ARGS, ["--name=chat", "--z"]).not_taken
    assert f"`args` in {OVERLAY} also changes Deployment chat-canary" in refused.reason
    assert "would lose the interpolations of the others" in refused.reason


def test_interpolation_behind_a_backslash_is_not_lost(tmp_path: Path) -> None:
    """OmegaConf reads two backslashes before an interpolation as one backslash of the text."""
    root = build_tree(tmp_path, "args: ['C:\\\\${image.tag}', --y]\n" + CANARY)
    assert read(root, ARGS) == ["C:\\1.0", "--y"]
    (refused, *_) = take(root, ARGS, ["C:\\1.0", "--z"]).not_taken
    assert "would lose the interpolations of the others" in refused.reason


def test_refusal_names_the_setting_that_makes_items_of_a_list(tmp_path: Path) -> None:
    settings = "autoscaling: {minReplicas: 2, maxReplicas: 4, cpu: 70}\n"
    settings += "resources: {requests: {cpu: 1, memory: 1Gi}}\n"
    root = build_tree(tmp_path, settings)
    finding = build_finding(
        FindingKind.CHANGED,
        "kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
        "ml-prod/chat",
        "spec.metrics[0].resource.target.averageUtilization",
        desired=70,
        recorded=70,
        live=75,
        list_differences=1,
    )
    (refused,) = take_findings(root, PROD, [finding]).not_taken
    assert "a whole new list would override autoscaling.cpu;" in refused.reason


def test_list_that_no_layer_sets_is_written_whole(tmp_path: Path) -> None:
    root = build_tree(tmp_path)
    path = "spec.template.spec.containers[model].securityContext.capabilities.drop"
    live = [*read(root, path), "NET_RAW"]
    result = take(root, path, live)
    assert [item.reason for item in result.not_taken] == []
    assert result.taken[0].setting == "security.dropCapabilities"
    assert read(root, path) == live


def test_item_that_the_overlay_cannot_edit_alone_is_refused(tmp_path: Path) -> None:
    overlay = "args: {append: [--x]}   # prod\n"
    root = build_tree(tmp_path, "args: ['--tag=${image.tag}']\n", overlay)
    result = take(root, ARGS, ["--tag=9", "--x"])
    assert "the items that differ cannot be edited alone" in result.not_taken[0].reason
    assert (root / OVERLAY).read_text() == overlay


def test_list_shared_through_an_anchor_is_refused_with_its_position(tmp_path: Path) -> None:
    overlay = "args: &shared [--a, --b]\nsidecars: {log: {image: 'a/log:1', args: *shared}}\n"
    root = build_tree(tmp_path, overlay=overlay)
    result = take(root, ARGS, ["--a", "--c"])
    assert f"{OVERLAY}:1:" in result.not_taken[0].reason
    assert "write the value out there" in result.not_taken[0].reason
    assert (root / OVERLAY).read_text() == overlay


def list_findings(old: Sequence[Any], live: Sequence[Any], **more: Any) -> list[Finding]:
    return [
        build_finding(
            FindingKind.CHANGED, DEPLOYMENT, "ml-prod/chat", f"{ARGS}[{index}]", desired=before,
            live=after, **{"recorded": before, **more},
        )
        for index, (before, after) in enumerate(zip_longest(old, live))
        if before != after
    ]  # fmt: skip


REFUSED: dict[str, tuple[list[str], list[str], dict[str, Any], str]] = {
    "one-is-secret": (
        ["--api-key", "[secret]", "--x"], ["--v", "--api-key", "[secret]", "--x"], {}, "is secret"
    ),
    "files-inserted-an-item": (["--b"], ["--c"], {"recorded": "--b"}, "files changed this list"),
    "files-changed-it": (
        ["--api-key", "k", "--x"], ["--api-key", "k", "--y"], {"list_is_pending": True},
        "files changed this list",
    ),
    "recorded-differs": (
        ["--api-key", "k", "--x"], ["--api-key", "k", "--y"], {"recorded": "--z"},
        "files changed this list",
    ),
    "accepted-in-part": (
        ["--api-key", "k", "--x"], ["--api-key", "k", "--y"], {"list_differences": 2},
        "accepted by drift.accept or allowed by drift.injectors",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_list_that_is_not_known_as_a_whole_is_refused(tmp_path: Path, case: str) -> None:
    old, live, more, reason = REFUSED[case]
    root = build_tree(tmp_path, "args: [--api-key, k, --x]\n")
    result = take_findings(root, PROD, list_findings(old, live, **more))
    assert result.taken == ()
    assert all(reason in item.reason for item in result.not_taken)
    assert not (root / OVERLAY).exists()


def test_one_finding_takes_the_others_of_its_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = build_tree(tmp_path, "args: [--a, --b]\n")
    findings = list_findings(["--a", "--b"], ["--v", "--a", "--b"], list_differences=3)
    # A rule may accept one of them; the list is taken as it is in the cluster.
    report = DriftReport(PROD, tuple(findings[:2]), accepted=(findings[2],))
    monkeypatch.setattr(remedies, "check_stack", lambda *_: report)
    options = Namespace(environment="prod", finding=findings[0].id, model=None)
    assert remedies.run_take(root, options) == 0
    assert read(root, ARGS) == ["--v", "--a", "--b"]
    assert capsys.readouterr().out.count("took ") == 3


@pytest.mark.parametrize("flow", [False, True], ids=["block", "flow"])
def test_edits_of_random_lists_keep_what_is_equal(tmp_path: Path, flow: bool) -> None:
    choose = random.Random(7)
    for _ in range(150):
        old = [f"--{choose.choice('abcd')}" for _ in range(choose.randint(1, 5))]
        new = [f"--{choose.choice('abcdxy')}" for _ in range(choose.randint(0, 6))]
        items = "".join(f"  - {item}   # {number}\n" for number, item in enumerate(old))
        text = f"args: [{', '.join(old)}]\nz: 1\n" if flow else f"args:\n{items}z: 1\n"
        (tmp_path / "x.yaml").write_text(text)
        change = ListChange(ROOT, old, new)
        edits = build_item_edits(change, ("args",), old)
        after = build_change(tmp_path, "x.yaml", edits)
        assert after.data == {"args": new, "z": 1}
        differ = {n for start, end, _ in change.list_steps() for n in range(start, end)}
        for number in {*range(len(old))} - differ:
            assert flow or f"- {old[number]}   # {number}\n" in after.new.decode()
