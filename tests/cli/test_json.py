"""The JSON of every reading verb matches the schema that is checked in for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from framework.cli import main as front
from framework.cli.verbs import VERBS
from framework.cluster.local import LocalCluster
from framework.core.changes import Change, FieldChange, Op, Preview
from framework.core.redaction import REDACTED
from framework.core.stack import Stack
from framework.output.documents import DOCUMENTS, FILES, build_output_schemas
from framework.output.json import build_cluster_status, build_preview, render_json
from framework.plan import PlanStore
from tests.conftest import Project
from tests.edits.manifests import CHAT, change
from tests.reports.repository import Repository
from tests.shipped import ROOT, SHIPPED

MakeProject = Callable[..., Project]


def load_schema(verb: str) -> Any:
    """Returns the checked-in schema, made to refuse keys that it does not name."""

    def forbid_other_keys(node: Any) -> Any:
        if isinstance(node, list):
            return [forbid_other_keys(child) for child in node]
        if not isinstance(node, dict):
            return node
        children = {key: forbid_other_keys(child) for key, child in node.items()}
        return {"additionalProperties": False, **children} if "properties" in node else children

    return forbid_other_keys(json.loads((ROOT / f"schemas/output/{verb}.schema.json").read_text()))


def check(verb: str, text: str) -> Any:
    """Fails if `text` does not match the schema of a verb; returns the parsed JSON."""
    document = json.loads(text)
    errors = [
        f"{error.json_path}: {error.message}"
        for error in Draft202012Validator(load_schema(verb)).iter_errors(document)
    ]
    assert errors == []
    return document


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs a verb with --json in a project and checks its output."""

    def run_verb(root: Path, *arguments: str, code: int = 0) -> Any:
        monkeypatch.setattr(front, "ROOT", root)
        assert front.main([*arguments, "--json"]) == code
        return check(arguments[0], capsys.readouterr().out)

    return run_verb


def test_every_verb_with_json_has_a_schema() -> None:
    verbs = {verb.name for verb in VERBS if "json" in verb.options}
    assert verbs == set(DOCUMENTS)
    names = {*verbs, *FILES}
    assert set(build_output_schemas()) == {f"{name}.schema.json" for name in names}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["validate"], id="validate"),
        pytest.param(["list"], id="list"),
        pytest.param(["explain", "prod", "--model", "sentiment"], id="explain-model"),
        pytest.param(
            ["explain", "prod", "--model", "sentiment", "--key", "Deployment"], id="explain-object"
        ),
        pytest.param(["diff", "staging", "--to", "prod"], id="diff-environments"),
        pytest.param(["render", "dev", "--model", "churn"], id="render"),
        pytest.param(["outputs", "dev", "--engine", "embedded"], id="outputs-not-deployed"),
        pytest.param(["cluster-status"], id="cluster-status-stopped"),
    ],
)
def test_shipped_catalog_matches_the_schema(arguments: list[str], run: Callable[..., Any]) -> None:
    run(SHIPPED, *arguments)


def test_errors_and_warnings_match_the_schema(
    make_project: MakeProject, run: Callable[..., Any]
) -> None:
    project = make_project("churn", "fraud")
    project.append("catalog/churn.yaml", "replica: 3\n")
    found = run(project.root, "validate", "dev", code=1)["diagnostics"]
    assert [diagnostic["line"] > 0 for diagnostic in found if diagnostic["code"] == "MC101"] == [
        True
    ]
    assert run(project.root, "list", code=1)["diagnostics"][0]["code"] == "MC101"


def test_comparisons_with_a_commit_match_the_schema(
    tmp_path: Path, run: Callable[..., Any]
) -> None:
    repository = Repository(tmp_path / "project")
    repository.write(
        {
            "catalog/alpha.yaml": "owner: red\nprofiles: [small]\nimage: {tag: '2'}\n",
            "catalog/beta.yaml": None,
            "catalog/gamma.yaml": "owner: [\n",
        }
    )
    diff = run(repository.root, "diff", "prod", "--since", "main", code=1)
    assert diff["notCompared"] == ["gamma"]
    affected = run(repository.root, "affected", "--since", "main", code=1)
    assert affected["environments"][0]["models"][0]["causes"] is None
    affected = run(repository.root, "affected", "--since", "main", "--why", code=1)
    assert affected["environments"][0]["models"][0]["causes"]


def test_written_files_match_the_schema(
    make_project: MakeProject, run: Callable[..., Any], tmp_path: Path
) -> None:
    project = make_project("churn")
    written = run(project.root, "render", "dev", "--out", str(tmp_path / "out"))
    assert "churn/deployment-churn.yaml" in written["files"]
    bumped = run(project.root, "bump", "--model", "churn", "--tag", "9.9")
    assert bumped["models"][0]["environments"][0]["after"] == "9.9"


def test_import_writes_the_proof_and_what_is_left_out(
    make_project: MakeProject, run: Callable[..., Any], tmp_path: Path
) -> None:
    project = make_project("churn")
    text = change(CHAT, "spec.template.spec.containers.0.resources", {})
    secret = "---\n{apiVersion: v1, kind: Secret, metadata: {name: hub}, data: {}}\n"
    (tmp_path / "chat.yaml").write_text(text + secret)
    prod = change(CHAT, "spec.template.spec.containers.0.image", "vllm/vllm-openai:v0.11")
    (tmp_path / "prod.yaml").write_text(prod)
    arguments = ["--base", str(tmp_path / "chat.yaml"), "--owner", "a", "--profile", "mlserver"]
    # The container has no requests, which the policy of prod wants.
    document = run(project.root, "import", f"prod={tmp_path / 'prod.yaml'}", *arguments, code=1)
    assert {item["code"] for item in document["diagnostics"]} == {"MC404"}
    (model,) = document["models"]
    assert (model["model"], model["file"]) == ("chat", "catalog/chat.yaml")
    assert model["position"].endswith("chat.yaml:1:1")
    assert model["proof"]["bySetting"] > 20
    (left_out,) = model["proof"]["leftOut"]
    assert left_out["object"] == "HorizontalPodAutoscaler chat-scaler"
    assert [d["path"] for d in model["proof"]["differences"]] == [""]
    assert document["notImported"][0]["object"] == "Secret hub"
    assert model["overlays"][0]["file"] == "environments/prod/models/chat.yaml"
    assert document["written"] == ["catalog/chat.yaml", "environments/prod/models/chat.yaml"]


def test_preview_writes_the_forecast_and_redacted_fields() -> None:
    field = FieldChange("spec.replicas", 1, REDACTED)
    change = Change("urn:x", "kubernetes:apps/v1:Deployment", "churn", Op.UPDATE, fields=(field,))
    plan = PlanStore(SHIPPED).load_one(Stack.of("dev")).require()
    preview = build_preview(Preview((change,)), plan, "embedded")
    document = check("preview", render_json(preview))
    assert document["changes"][0]["op"] == "update"
    assert document["forecasts"]["churn"]["worstCaseSeconds"] > 0


def test_text_outside_ascii_is_escaped_as_redaction_expects_it() -> None:
    assert render_json({"key": "é\u2028"}) == '{\n  "key": "\\u00e9\\u2028"\n}'


@pytest.mark.cluster
def test_deployed_environment_matches_the_schemas(
    make_live_project: MakeProject, local_cluster: LocalCluster
) -> None:
    project = make_live_project("churn")
    project.edit("catalog/_defaults.yaml", "minReadySeconds: 5", "minReadySeconds: 0")
    assert project.run("up", "dev").returncode == 0
    project.edit("catalog/churn.yaml", '"1.6.1"', '"1.7.0"')
    documents = {}
    for verb in ("preview", "status", "outputs", "drift"):
        run = project.run(verb, "dev", "--json")
        assert run.returncode == 0, run.stderr
        documents[verb] = check(verb, run.stdout)
    (track,) = documents["status"]["tracks"]
    assert track["planned"].endswith(":1.7.0")
    assert track["running"].endswith(":1.6.1")
    assert documents["status"]["pending"] == ["churn"]
    shown = " ".join(project.run("status", "dev").stdout.split())
    assert "pending 1 model (catalog changed, not applied): churn next: `make preview" in shown
    assert documents["preview"]["changes"]
    assert documents["drift"]["clean"]
    status = check("cluster-status", render_json(build_cluster_status(local_cluster.status())))
    assert status["running"]
