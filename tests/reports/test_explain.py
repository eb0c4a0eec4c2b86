"""`explain` shows where a setting comes from: position, overridden values, interpolations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework.catalog import load_catalog
from framework.cli.main import build_parser, main
from framework.cli.read import run_explain
from framework.core.errors import ConfigError, FrameworkError, UnknownNameError, UsageError
from framework.core.stack import Stack
from framework.files import list_environments
from framework.reports.explain import ExplainedSetting, Explainer, list_sources
from tests.shipped import SHIPPED
from tests.trees import write_tree

_ENVIRONMENT = "environments/prod/environment.yaml"
_OVERLAY = "environments/prod/models/m.yaml"
FILES = {
    "catalog/_defaults.yaml": (
        "replicas: 1\nports: {http: 8080}\nservice: {annotations: {a: one}}\n"
        "disruptionBudget: {maxUnavailable: 1}\nrollout: {maxSurge: 25%}\n"
    ),
    "catalog/_profiles/small.yaml": "image: {repository: r/small, tag: '1'}\nreplicas: 3\n",
    "catalog/m.yaml": (
        "owner: team\nprofiles: [small]\n"
        "labels: {v: '${image.tag}', where: '${environment.name}-${labels.v}', n: '${name}'}\n"
        "env: {DB_PASSWORD: hunter2, URL: 'x://${env.DB_PASSWORD}', A: '1', "
        "B: 'a\\\\${image.tag}'}\n"
        "args: ['--tag=${image.tag}', plain]\n"
        "canary: {candidate: {image: {tag: '2'}}}\n"
    ),
    "catalog/other.yaml": "owner: [\n",
    _ENVIRONMENT: "namespace: ml-prod\ndefaults: {replicas: 2}\noverrides: {replicas: 4}\n",
    _OVERLAY: "replicas: 5\ndisruptionBudget: null\nrollout: null\nimage: {tag: '1.5'}\n",
}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Returns a function that writes FILES with changes and returns the root."""

    def _write(**changes: str) -> Path:
        return write_tree(tmp_path, {**FILES, **changes})

    return _write


def _find(root: Path, key: str | None = None) -> dict[str, ExplainedSetting]:
    catalog = load_catalog(root, Stack.of("prod"), models={"m"})
    return {setting.key: setting for setting in Explainer(catalog, catalog.models[0]).find(key)}


def _run(root: Path, *arguments: str) -> int:
    return run_explain(root, build_parser().parse_args(["explain", *arguments]))


def _json(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert _run(root, "prod", "--model", "m", "--json", *arguments) == 0
    return json.loads(capsys.readouterr().out)


def test_value_has_its_position_and_the_values_it_overrode_latest_first(write: Write) -> None:
    replicas = _find(write())["replicas"]
    assert (replicas.value, replicas.position) == (5, f"{_OVERLAY}:1:11")
    assert [(old.value, old.position) for old in replicas.overrode] == [
        (4, f"{_ENVIRONMENT}:3:23"),
        (3, "catalog/_profiles/small.yaml:2:11"),
        (2, f"{_ENVIRONMENT}:2:22"),
        (1, "catalog/_defaults.yaml:1:11"),
    ]


@pytest.mark.parametrize(
    ("key", "value", "position", "overrode"),
    [
        pytest.param("preStopSeconds", 5, "", [], id="default"),
        pytest.param("autoscaling", None, "", [], id="unset"),
        pytest.param("disruptionBudget", None, f"{_OVERLAY}:2:19", [{"maxUnavailable": 1}],
                     id="removed"),
        pytest.param("rollout.maxSurge", "25%", "", [None, "25%"], id="default after a null"),
        pytest.param("ports.http.containerPort", 8080, "catalog/_defaults.yaml:2:15", [],
                     id="short form"),
        pytest.param("ports.http.protocol", "TCP", "", [], id="default beside a short form"),
        pytest.param("args", ["--tag=1.5", "plain"], "catalog/m.yaml:5:7", [], id="list"),
        pytest.param("candidate.image.tag", "2", "catalog/m.yaml:6:35", ["1.5", "1"],
                     id="candidate"),
        pytest.param("canary.candidate.image.tag", "2", "catalog/m.yaml:6:35", [],
                     id="candidate as written"),
        pytest.param("environment.namespace", "ml-prod", f"{_ENVIRONMENT}:1:12", [],
                     id="environment"),
        pytest.param("name", "m", "catalog/m.yaml", [], id="name"),
    ],
)  # fmt: skip
def test_value_has_the_position_of_its_origin(
    key: str, value: Any, position: str, overrode: list[Any], write: Write
) -> None:
    found = _find(write(), key)[key]
    assert (found.value, found.position) == (value, position or None)
    assert [old.value for old in found.overrode] == overrode


@pytest.mark.parametrize(
    ("key", "texts", "reads"),
    [
        ("labels.v", ["${image.tag}"], ["image.tag"]),
        ("labels.where", ["${environment.name}-${labels.v}", "${image.tag}"],
         ["environment.name", "labels.v", "image.tag"]),
        ("args", ["--tag=${image.tag}"], ["image.tag"]),
        ("env.B", [r"a\\${image.tag}"], ["image.tag"]),
        ("candidate.labels.v", ["${image.tag}"], ["candidate.image.tag"]),
        ("labels.n", ["${name}"], ["name"]),
        ("image.tag", [], []),
    ],
)  # fmt: skip
def test_interpolations_are_followed(
    key: str, texts: list[str], reads: list[str], write: Write
) -> None:
    found = _find(write(), key)[key]
    assert [interpolation.text for interpolation in found.interpolations] == texts
    assert list(found.reads) == reads


def test_key_selects_a_setting_or_a_section_and_unknown_keys_are_refused(write: Write) -> None:
    root = write()
    assert _find(root, "rollout").keys() == {
        "rollout.maxSurge", "rollout.maxUnavailable", "rollout.minReadySeconds",
        "rollout.progressDeadlineSeconds", "rollout.revisionHistoryLimit", "rollout.strategy",
    }  # fmt: skip
    assert _find(root, "autoscaling.minReplicas").keys() == {"autoscaling"}
    assert _find(root).keys() >= {"replicas", "labels.v", "autoscaling"}
    with pytest.raises(UnknownNameError, match=r"did you mean rollout\.maxSurge"):
        _find(root, "rollout.maxSruge")


@pytest.mark.parametrize(
    ("key", "explained"),
    [
        ("podAnnotations.prometheus.io/port", 'podAnnotations["prometheus.io/port"]'),
        ('podAnnotations["prometheus.io/port"]', 'podAnnotations["prometheus.io/port"]'),
        ("resources.limits.nvidia.com/gpu", 'resources.limits["nvidia.com/gpu"]'),
        ("podAnnotations.example.com/none", 'podAnnotations["example.com/none"]'),
    ],
)
def test_key_with_dots_is_found_without_quotes(key: str, explained: str, write: Write) -> None:
    model = (
        "owner: team\nprofiles: [small]\npodAnnotations: {prometheus.io/port: '8082'}\n"
        "resources: {limits: {nvidia.com/gpu: 1}}\n"
    )
    assert _find(write(**{"catalog/m.yaml": model}), key).keys() == {explained}


def test_a_secret_is_never_shown(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    root = write()
    for arguments in ([], ["--key", "env"], ["--key", "Deployment"], ["--key", "candidate.env"]):
        for form in ([], ["--json"]):
            assert _run(root, "prod", "--model", "m", *arguments, *form) == 0
            printed = capsys.readouterr().out
            assert "hunter2" not in printed
            assert "[secret]" in printed


def test_image_is_shown_although_a_password_is_the_same_word(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    model = "owner: team\nimage: {repository: postgres, tag: '16'}\nreplicas: 3\nenv:\n"
    model += "  POSTGRES_PASSWORD: postgres\n  API_TOKEN: sunshine\n  NOTE: sunshine\n"
    root = write(**{"catalog/m.yaml": model})
    explained = _json(root, capsys, "--key", "image.repository")
    assert [(s["value"], s["secret"]) for s in explained["settings"]] == [("postgres", False)]
    assert _run(root, "prod", "--model", "m", "--key", "Deployment") == 0
    printed = capsys.readouterr().out
    assert "postgres:1.5" in printed
    assert "sunshine" not in printed


def test_name_of_a_model_is_shown_although_a_password_is_the_same_word(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    model = "owner: team\nimage: {repository: acme/server, tag: '1'}\nenv: {DB_PASSWORD: chat}\n"
    root = write(**{"catalog/chat.yaml": model})
    assert _run(root, "prod", "--model", "chat", "--key", "Deployment.metadata.name") == 0
    printed = capsys.readouterr().out
    assert "[secret]" not in printed


def test_set_overrides_all_other_layers(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    explained = _json(write(), capsys, "--key", "replicas", "--set", "replicas=9")
    assert explained["settings"][0]["position"] == "--set"
    assert explained["settings"][0]["overrode"][0] == {"value": 5, "position": f"{_OVERLAY}:1:11"}


@pytest.mark.parametrize(
    ("assignment", "key", "value"),
    [
        (r"labels.a\.b/c=x", 'labels["a.b/c"]', "x"),
        ("args=[a, b]", "args", ["a", "b"]),
        ("canary.candidate.startupSeconds=7", "candidate.startupSeconds", 7),
        ("image.tag='1.10'", "image.tag", "1.10"),
        ("labels.v=null", "labels", None),
    ],
)
def test_set_accepts_nested_keys_and_yaml_values(
    assignment: str, key: str, value: Any, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = {"catalog/m.yaml": "owner: team\nprofiles: [small]\nlabels: {v: x}\n"
               "canary: {candidate: {}}\n"}  # fmt: skip
    explained = _json(write(**changed), capsys, "--key", key, "--set", assignment)
    found = {setting["key"]: setting["value"] for setting in explained["settings"]}
    assert found[key] == (value if value is not None else {})


@pytest.mark.parametrize(
    ("assignment", "error", "message"),
    [
        ("replicas", UsageError, "KEY=VALUE"),
        (".x=1", UsageError, "KEY=VALUE"),
        ("profiles=[a]", UsageError, '"profiles" cannot be overridden for one command'),
        ("replica=1", ConfigError, r'^--set  \w+  "replica" is not a setting.*"replicas"'),
        ("replicas=x", ConfigError, r'^--set  \w+  replicas is "x"; expected a whole number'),
        ("args=[", ConfigError, "^--set  .*not valid YAML"),
    ],
)
def test_set_refuses_unknown_settings_and_invalid_values(
    assignment: str, error: type[FrameworkError], message: str, write: Write
) -> None:
    with pytest.raises(error, match=message):
        _run(write(), "prod", "--model", "m", "--set", assignment)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prod"], "explain needs one model"),
        (["prod", "--model", "mm"], 'no model is called "mm".*did you mean m'),
        (["prod", "--model", "*"], "no model is called"),
        (["prod", "--model", "m", "--set", "enabled=false"], "does not run in prod"),
        (["prd", "--model", "m"], "did you mean prod"),
    ],
)
def test_wrong_usage_names_what_is_valid(arguments: list[str], message: str, write: Write) -> None:
    with pytest.raises(UsageError, match=message):
        _run(write(), *arguments)


def test_text_has_the_position_and_the_overridden_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["explain", "prod", "--model", "sentiment", "--key", "rollout.minReady"]) == 2
    assert main(["explain", "prod", "--model", "sentiment", "--key", "rollout"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rollout.maxSurge", "25%", "catalog/_defaults.yaml:4:13"]
    assert "over 5 (catalog/_defaults.yaml:6:20)" in "\n".join(lines)


@pytest.mark.parametrize("environment", list_environments(SHIPPED))
def test_written_positions_match_the_origins_that_the_merge_recorded(environment: str) -> None:
    catalog = load_catalog(SHIPPED, Stack.of(environment))
    for source in (source for model in catalog.models for source in list_sources(catalog, model)):
        for path, positions in source.merged.origins.items():
            written = [value for value in source.list_written(path) if value.path == path]
            if written:
                assert tuple(value.position for value in written)[-len(positions) :] == positions


@pytest.mark.parametrize("key", [[], ["--key", "Deployment"], ["--key", "Service"]])
@pytest.mark.parametrize("model", ["sentiment", "ranker", "llama-chat"])
def test_text_fits_a_hundred_columns(
    model: str, key: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "prod", "--model", model, *key]) == 0
    printed = capsys.readouterr().out.splitlines()
    # A path or a position is never broken, so that it can be copied; it has a line of its own.
    assert not [line for line in printed if len(line) > 100 and len(line.split()) > 1]


def test_port_in_another_form_keeps_the_origin_of_each_key(write: Write) -> None:
    root = write(**{_OVERLAY: "ports: {http: {servicePort: 80}}\n"})
    found = _find(root, "ports.http")
    number, of_service = found["ports.http.containerPort"], found["ports.http.servicePort"]
    assert (number.value, number.position) == (8080, "catalog/_defaults.yaml:2:15")
    assert (of_service.value, of_service.position) == (80, f"{_OVERLAY}:1:29")
    assert of_service.overrode == ()


def test_appended_list_is_explained_at_what_was_added(write: Write) -> None:
    root = write(**{_OVERLAY: "args: {append: [--verbose]}\n"})
    args = _find(root, "args")["args"]
    assert args.value[-1] == "--verbose"
    assert args.position == f"{_OVERLAY}:1:16"
