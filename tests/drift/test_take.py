"""Live values written into the catalog, and rules written into environment.yaml."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from framework.catalog import load_catalog
from framework.cli import remedies
from framework.cli.remedies import announce, find_by_id
from framework.core.drift_rules import AcceptRule
from framework.core.errors import EditError, FrameworkError, UnknownNameError, UsageError
from framework.core.stack import Stack
from framework.drift.report import DriftReport, Finding, FindingKind
from framework.drift.take import TakeResult, take_findings
from framework.edits.accept import add_accept_rule
from framework.output.edits import render_file_changes
from framework.plan.build import build_model
from tests.drift.sample_run import DEPLOYMENT, PROD, build_finding, build_report
from tests.trees import write_tree

CONTAINER = "spec.template.spec.containers[model]"
FILES = {
    "catalog/_defaults.yaml": "rollout: {maxSurge: 1, maxUnavailable: 0}\n",
    "catalog/chat.yaml": (
        "# Answers questions.\n"
        "owner: team-nlp\n"
        "image: {repository: ghcr.io/acme/chat, tag: '1.0'}   # pinned\n"
        "replicas: 2\n"
        "env: {LOG_LEVEL: info}\n"
        "ports: {http: 8080}\n"
        "probes: {readiness: {httpGet: {path: /ready}}}\n"
    ),
    "environments/dev/environment.yaml": "namespace: ml-dev\n",
    "environments/prod/environment.yaml": (
        "namespace: ml-prod   # one stack manages it\noverrides: {rollout: {minReadySeconds: 10}}\n"
    ),
    "environments/prod/models/chat.yaml": (
        "# More traffic in prod.\nreplicas: 6   # one for each zone, twice\n"
    ),
}
OVERLAY = "environments/prod/models/chat.yaml"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path, FILES)


def change(path: str, live: Any, desired: Any = "x", **more: Any) -> Finding:
    kind = FindingKind.ADDED if desired is None else FindingKind.CHANGED
    more = {"model": "chat", "recorded": desired, **more}
    return build_finding(kind, DEPLOYMENT, "ml-prod/chat", path, desired=desired, live=live, **more)


def render(root: Path, environment: str) -> dict[str, Any]:
    """Returns the manifests of the model by their kinds."""
    catalog = load_catalog(root, Stack.of(environment))
    manifests = build_model(catalog.models[0], catalog.environment).manifests
    return {manifest.kind: manifest.object for manifest in manifests}


def take(root: Path, *findings: Finding) -> TakeResult:
    """Takes findings; fails if the manifests of another environment change."""
    before = render(root, "dev")
    result = take_findings(root, PROD, findings)
    assert render(root, "dev") == before
    return result


def container(root: Path) -> dict[str, Any]:
    pod = render(root, "prod")["Deployment"]["spec"]["template"]["spec"]
    return dict(pod["containers"][0])


def test_value_is_written_at_the_line_that_defines_it_and_comments_stay(root: Path) -> None:
    result = take(root, change("spec.replicas", 9, 6))
    assert (root / OVERLAY).read_text() == (
        "# More traffic in prod.\nreplicas: 9   # one for each zone, twice\n"
    )
    assert [(taken.file, taken.setting) for taken in result.taken] == [(OVERLAY, "replicas")]
    diff = render_file_changes(result.changes)
    assert "-replicas: 6   # one for each zone, twice" in diff
    assert render(root, "prod")["Deployment"]["spec"]["replicas"] == 9


def test_line_that_other_environments_read_is_overridden_in_the_overlay(root: Path) -> None:
    take(root, change(f"{CONTAINER}.env[LOG_LEVEL]", "debug", "info"))
    assert (root / "catalog/chat.yaml").read_text() == FILES["catalog/chat.yaml"]
    assert "LOG_LEVEL: debug" in (root / OVERLAY).read_text()


def test_line_that_no_other_environment_reads_is_edited_there(root: Path) -> None:
    write_tree(root, {"environments/dev/models/chat.yaml": "image: {tag: '0.9'}\n"})
    take(root, change(f"{CONTAINER}.image", "ghcr.io/acme/chat:1.1", "ghcr.io/acme/chat:1.0"))
    text = (root / "catalog/chat.yaml").read_text()
    assert "image: {repository: ghcr.io/acme/chat, tag: '1.1'}   # pinned" in text


def read_env(root: Path, name: str) -> Any:
    return next((e.get("value") for e in container(root)["env"] if e["name"] == name), None)


TAKEN: dict[str, tuple[str, Any, Any, Callable[[Path], Any]]] = {
    "env-added": (f"{CONTAINER}.env[DEBUG]", "1", None, lambda root: read_env(root, "DEBUG")),
    "env-changed": (
        f"{CONTAINER}.env[LOG_LEVEL]", "debug", "info", lambda root: read_env(root, "LOG_LEVEL")
    ),
    "image": (
        f"{CONTAINER}.image", "quay.io/acme/chat:2.0", "ghcr.io/acme/chat:1.0",
        lambda root: container(root)["image"],
    ),
    "override-of-the-environment": (
        "spec.minReadySeconds", 40, 10,
        lambda root: render(root, "prod")["Deployment"]["spec"]["minReadySeconds"],
    ),
    "annotation": (
        'metadata.annotations["example.com/note"]', "on call", None,
        lambda root: render(root, "prod")["Deployment"]["metadata"]["annotations"][
            "example.com/note"
        ],
    ),
    "interpolation-in-a-variable": (
        f"{CONTAINER}.env[WHERE]", r"${HOME}/\${x}", None, lambda root: read_env(root, "WHERE")
    ),
    "interpolation-in-a-patch": (
        f"{CONTAINER}.workingDir", "/srv/${name}", None, lambda root: container(root)["workingDir"]
    ),
    "patch": (
        f"{CONTAINER}.stdin", True, None, lambda root: container(root)["stdin"]
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TAKEN)
def test_taken_value_is_rendered_and_nothing_else_changes(root: Path, case: str) -> None:
    path, live, desired, read = TAKEN[case]
    result = take(root, change(path, live, desired))
    assert [item.reason for item in result.not_taken] == []
    assert read(root) == live


@pytest.mark.parametrize(
    ("before", "item", "live", "after"),
    [
        ("", "", ["--fast"], ["--fast"]),
        ("args: [--a, --b]\n", "[2]", "--home=${HOME}", ["--a", "--b", "--home=${HOME}"]),
        ("args: [--a, --b]\n", "[1]", "--c", ["--a", "--c"]),
        ("args: [--a, '${name}', --b]\n", "[2]", None, ["--a", "chat"]),
    ],
    ids=["first", "one-more", "another", "one-less"],
)
def test_argument_is_taken_with_its_list(
    root: Path, before: str, item: str, live: Any, after: list[str]
) -> None:
    write_tree(root, {"catalog/chat.yaml": FILES["catalog/chat.yaml"] + before})
    desired = "--b" if len(after) <= 2 and before else None
    finding = change(f"{CONTAINER}.args{item}", live, desired)
    result = take_findings(root, PROD, [finding])
    assert [item.reason for item in result.not_taken] == []
    assert container(root)["args"] == after


@pytest.mark.parametrize(
    "live", [["--a"], ["--c"], ["--a", "--b", "--c", "--d", "--e"], []], ids=lambda live: len(live)
)
def test_all_arguments_are_taken_in_one_run(root: Path, live: list[str]) -> None:
    desired = ["--a", "--b", "--c"]
    write_tree(root, {"catalog/chat.yaml": FILES["catalog/chat.yaml"] + f"args: {desired}\n"})
    fields = [
        change(f"{CONTAINER}.args[{index}]", new, old)
        for index, (old, new) in enumerate(zip_longest(desired, live))
        if old != new
    ]
    result = take_findings(root, PROD, reversed(fields))
    assert [item.reason for item in result.not_taken] == []
    assert container(root).get("args", []) == live


def test_several_findings_are_announced(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings = [change("spec.replicas", 3, 2), change("spec.paused", True, None)]
    for tried in (findings[:1], findings):
        take_findings(root, PROD, tried, announce)
    assert re.findall(r"trying (\d of \d): ", capsys.readouterr().err) == ["1 of 2", "2 of 2"]


REFUSED = {
    "secret": (change(f"{CONTAINER}.env[API_TOKEN]", "[secret]", None), "refer to a Secret"),
    "protected": (change("spec.paused", True, None), "put it back with `up`, or accept it"),
    "missing": (build_finding(FindingKind.MISSING, DEPLOYMENT, "ml-prod/chat"), "is missing"),
    "foreign": (build_finding(FindingKind.FOREIGN, DEPLOYMENT, "ml-prod/x"), "no stack owns it"),
    "no-model": (change("metadata.labels.x", "1", None, model=""), "belongs to no model"),
    "unknown-model": (change("spec.replicas", 3, 2, model="gone"), "is not planned in prod"),
    "release": (
        replace(change("values.a[0]", 5, 1), type="kubernetes:helm.sh/v3:Release"),
        "do not render this object; edit your own program",
    ),
    "removed": (
        replace(
            change("spec.maxReplicas", 9, None, recorded=8),
            type="kubernetes:autoscaling/v2:HorizontalPodAutoscaler",
        ),
        "the next `up` removes it from the stack; to keep it, add it to the files again",
    ),
    "invalid": (change("spec.replicas", -1, 2), "no setting and no patch"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_value_that_cannot_be_taken_is_refused_with_a_reason(root: Path, case: str) -> None:
    finding, reason = REFUSED[case]
    result = take(root, finding)
    assert result.taken == ()
    assert reason in result.not_taken[0].reason
    assert {path: (root / path).read_text() for path in FILES} == FILES


def test_others_are_taken_where_one_is_refused(root: Path) -> None:
    result = take(root, REFUSED["secret"][0], change("spec.replicas", 9, 6))
    assert (len(result.taken), len(result.not_taken)) == (1, 1)
    assert render(root, "prod")["Deployment"]["spec"]["replicas"] == 9


def test_file_that_somebody_edits_meanwhile_is_left_as_it_is(root: Path) -> None:
    def edit_after_the_first() -> Iterator[Finding]:
        yield change("spec.replicas", 9, 6)
        (root / OVERLAY).write_text("replicas: 7\n")

    with pytest.raises(EditError, match=OVERLAY):
        take_findings(root, PROD, edit_after_the_first())
    assert (root / OVERLAY).read_text() == "replicas: 7\n"


@pytest.mark.parametrize(
    ("live", "after"),
    [
        ("ghcr.io/acme/chat:1.1", "image: {repository: 'ghcr.io/${owner}/chat', tag: '1.1'}"),
        (
            "ghcr.io/acme/chat:1.1@sha256:" + "a" * 64,
            "image: {repository: 'ghcr.io/${owner}/chat', tag: '1.1', digest: sha256:",
        ),
    ],
    ids=["tag", "tag-and-digest"],
)
def test_part_of_an_image_that_is_the_same_keeps_its_interpolation(
    root: Path, live: str, after: str
) -> None:
    overlay = "image: {repository: 'ghcr.io/${owner}/chat', tag: '1.0'}   # ours\n"
    catalog = FILES["catalog/chat.yaml"].replace("team-nlp", "acme")
    write_tree(root, {OVERLAY: overlay, "catalog/chat.yaml": catalog})
    take(root, change(f"{CONTAINER}.image", live, "ghcr.io/acme/chat:1.0"))
    assert after in (root / OVERLAY).read_text()
    assert container(root)["image"] == live


def test_patch_of_another_field_keeps_its_interpolations_and_comments(root: Path) -> None:
    patch = (
        "patch:\n"
        "  Deployment/stable:\n"
        "    # A console.\n"
        "    spec:\n"
        "      template:\n"
        "        spec:\n"
        "          containers:\n"
        "            - name: model   # ours\n"
        "              workingDir: /srv/${name}   # by name\n"
    )
    write_tree(root, {OVERLAY: patch})
    assert take(root, change(f"{CONTAINER}.stdinOnce", True, None)).not_taken == ()
    assert (root / OVERLAY).read_text() == patch + "              stdinOnce: true\n"
    assert container(root)["workingDir"] == "/srv/chat"


# Errors in files that somebody else is editing, and that a take for prod does not touch.
BROKEN = {
    "environment": {"environments/dev/environment.yaml": "namespace: ml-dev\nbogus: 1\n"},
    "overlay": {"environments/dev/models/chat.yaml": "replicas: x\n"},
    "no-yaml": {"environments/dev/models/chat.yaml": "replicas: [\n"},
    "folder-of-nothing": {"environments/test/notes.txt": "soon\n"},
}


@pytest.mark.parametrize("case", BROKEN)
def test_error_of_another_environment_does_not_stop_a_take(root: Path, case: str) -> None:
    write_tree(root, BROKEN[case])
    result = take_findings(root, PROD, [change("spec.replicas", 9, 6)])
    assert [item.reason for item in result.not_taken] == []
    assert "replicas: 9" in (root / OVERLAY).read_text()


def test_catalog_is_not_edited_while_another_environment_has_errors(root: Path) -> None:
    # Without the error, dev would read no tag of the catalog, and the catalog would be edited.
    write_tree(root, {"environments/dev/models/chat.yaml": "image: {tag: '0.9'}\nreplicas: x\n"})
    image = change(f"{CONTAINER}.image", "ghcr.io/acme/chat:1.1", "ghcr.io/acme/chat:1.0")
    assert take_findings(root, PROD, [image]).not_taken == ()
    assert (root / "catalog/chat.yaml").read_text() == FILES["catalog/chat.yaml"]
    assert container(root)["image"] == "ghcr.io/acme/chat:1.1"


def test_errors_that_were_there_before_do_not_stop_a_take(root: Path) -> None:
    policy = "policy: {allowedRegistries: [quay.io]}\n"
    with (root / "environments/prod/environment.yaml").open("a") as file:
        file.write(policy)
    result = take_findings(root, PROD, [change("spec.replicas", 9, 6)])
    assert [item.reason for item in result.not_taken] == []
    write_tree(root, {"environments/prod/models/chat.yaml": FILES[OVERLAY]})
    image = change(f"{CONTAINER}.image", "docker.io/acme/chat:1.1", "ghcr.io/acme/chat:1.0")
    assert "quay.io" in take_findings(root, PROD, [image]).not_taken[0].reason


def test_link_to_no_file_and_read_only_files_are_copied(root: Path) -> None:
    # Emacs locks a file that is edited so.
    (root / "catalog/.#chat.yaml").symlink_to("me@host.123:456")
    (root / "environments/dev/README.md").symlink_to("nowhere")
    (root / OVERLAY).chmod(0o444)
    result = take_findings(root, PROD, [change("spec.replicas", 9, 6)])
    assert [item.reason for item in result.not_taken] == []
    assert (root / OVERLAY).stat().st_mode & 0o777 == 0o444


def test_file_that_cannot_be_copied_is_an_error_with_its_place(root: Path) -> None:
    # A pipe stands for a file without read permission, which root may read.
    os.mkfifo(root / "environments/dev/models")
    with pytest.raises(EditError, match=r"environments/dev/models: cannot be read"):
        take_findings(root, PROD, [change("spec.replicas", 9, 6)])


RULE = AcceptRule(
    "load test: until the cache is there", kind="Deployment", object="ml-prod/chat",
    path="spec.replicas", change="changed", danger="budget", live="9", until=date(2099, 12, 31),
)  # fmt: skip
WRITTEN = (
    "{kind: Deployment, object: ml-prod/chat, path: spec.replicas, change: changed, "
    'danger: budget, live: "9", reason: "load test: until the cache is there", until: "2099-12-31"}'
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("", f"drift:\n  accept:\n    - {WRITTEN}\n", id="no-drift"),
        pytest.param(
            "drift: {accept: []}   # none yet\n",
            f"drift: {{accept: [{WRITTEN}]}}   # none yet\n",
            id="empty-list",
        ),
        pytest.param(
            "drift:\n  accept:\n    # The first rule.\n    - kind: Service   # any\n"
            "      reason: test\n  injectors: []\n",
            "drift:\n  accept:\n    # The first rule.\n    - kind: Service   # any\n"
            f"      reason: test\n    - {WRITTEN}\n  injectors: []\n",
            id="block-list",
        ),
        pytest.param(
            "drift: {accept: [{kind: Service, reason: test}]}\n",
            f"drift: {{accept: [{{kind: Service, reason: test}}, {WRITTEN}]}}\n",
            id="flow-list",
        ),
    ],
)
def test_rule_is_added_behind_the_others_and_comments_stay(
    root: Path, before: str, after: str
) -> None:
    path = root / "environments/prod/environment.yaml"
    head = FILES["environments/prod/environment.yaml"]
    path.write_text(head + before)
    add_accept_rule(root, "prod", RULE)
    assert path.read_text() == head + after


def test_finding_is_found_by_the_first_digits_of_its_id() -> None:
    report = build_report()
    assert find_by_id(report.findings[3].id[:5].upper(), report) is report.findings[3]


def test_unknown_finding_suggests_the_nearest_id() -> None:
    report = build_report()
    findings = report.findings
    wrong = findings[0].id[:-1] + ("0" if findings[0].id[-1] != "0" else "1")
    with pytest.raises(UnknownNameError, match=f"did you mean {findings[0].id}"):
        find_by_id(wrong, report)


def test_too_few_digits_name_the_least_number() -> None:
    report = build_report()
    with pytest.raises(UsageError, match=r"FINDING=.*needs at least 4 digits"):
        find_by_id(report.findings[0].id[:3], report)


def test_finding_of_a_clean_environment_is_an_error() -> None:
    with pytest.raises(FrameworkError, match="nothing differs"):
        find_by_id("abcdef", DriftReport(PROD, ()))


def run(verb: Callable[[Path, Namespace], int], root: Path, **options: Any) -> int:
    given = {"environment": "prod", "finding": None, "model": None, "reason": "x", "until": None}
    return verb(root, Namespace(**{**given, **options}))


PROBLEMS = ("Deployment ml-prod/chat: HTTP 403 forbidden", "list of Service: HTTP 500")


def test_take_after_a_check_that_was_not_complete_fails_and_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    report = DriftReport(PROD, (), problems=PROBLEMS, warnings=("warning: up was interrupted",))
    monkeypatch.setattr(remedies, "check_stack", lambda *_: report)
    assert run(remedies.run_take, root, model="chat") == 1
    assert capsys.readouterr().out.splitlines() == [
        "NOT CHECKED  Deployment ml-prod/chat: HTTP 403 forbidden",
        "NOT CHECKED  list of Service: HTTP 500",
        "warning: up was interrupted",
        "No differences of chat in what could be checked.",
    ]


def test_finding_is_accepted_after_an_incomplete_check(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finding = change("spec.replicas", 9, 6)
    report = DriftReport(PROD, (finding,), problems=PROBLEMS)
    monkeypatch.setattr(remedies, "check_stack", lambda *_: report)
    assert run(remedies.run_accept, root, finding=finding.id) == 0
    out = capsys.readouterr().out
    assert "NOT CHECKED" in out
    assert "accepted  Deployment ml-prod/chat spec.replicas" in out


@pytest.mark.parametrize(("by_id", "code"), [(True, 0), (False, 1)], ids=["one", "all"])
def test_take_after_an_incomplete_check_fails_only_if_it_should_take_everything(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    by_id: bool,
    code: int,
) -> None:
    finding = change("spec.replicas", 9, 6)
    report = DriftReport(PROD, (finding,), problems=PROBLEMS)
    monkeypatch.setattr(remedies, "check_stack", lambda *_: report)
    assert run(remedies.run_take, root, finding=finding.id if by_id else None) == code
    out = capsys.readouterr().out
    assert "NOT CHECKED" in out
    assert "took      Deployment ml-prod/chat spec.replicas" in out


def test_unknown_id_after_an_incomplete_check_names_the_incomplete_check(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = DriftReport(PROD, (), problems=PROBLEMS)
    monkeypatch.setattr(remedies, "check_stack", lambda *_: report)
    for verb in (remedies.run_accept, remedies.run_take):
        with pytest.raises(FrameworkError, match="not everything could be checked"):
            run(verb, root, finding="abcdef")


@pytest.mark.parametrize("model", ["chat", None], ids=["model", "all"])
def test_complete_check_without_differences_is_done(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    model: str | None,
) -> None:
    monkeypatch.setattr(remedies, "check_stack", lambda *_: DriftReport(PROD, ()))
    assert run(remedies.run_take, root, model=model) == 0
    assert capsys.readouterr().out == f"No differences{' of chat' if model else ''}.\n"


WIDGET = (
    "objects:\n  r: {apiVersion: example.com/v1, kind: Widget, metadata: {name: w}, "
    "spec: {param: x, items: {a: 1}}}\n"
)


@pytest.mark.parametrize(
    ("path", "live"),
    [
        ("spec.param", {"name": "a", "value": "b"}),
        ("spec.items", {"name": "a", "value": "b"}),
        ("spec.param", {"value": "b"}),
        ("spec.items.a", "1"),
    ],
    ids=["in-place-of-a-text", "in-place-of-a-mapping", "value-alone", "text"],
)
def test_value_of_a_custom_resource_keeps_its_type(root: Path, path: str, live: Any) -> None:
    write_tree(
        root,
        {
            "catalog/chat.yaml": FILES["catalog/chat.yaml"] + WIDGET,
            "environments/dev/models/chat.yaml": "enabled: false\n",
        },
    )
    steps = path.split(".")
    before = render(root, "prod")["Widget"]
    finding = build_finding(
        FindingKind.CHANGED,
        "kubernetes:example.com/v1:Widget",
        "ml-prod/w",
        path,
        model="chat",
        desired="x",
        live=live,
    )
    result = take_findings(root, PROD, [finding])
    value: Any = render(root, "prod")["Widget"]
    for step in steps:
        value = value[step]
    # Refused, or written as it is: never a part of it.
    assert (value == live) if result.taken else render(root, "prod")["Widget"] == before
    assert result.taken or path == "spec.items"
