"""`diff`: two environments side by side, and what changed since a commit, in every format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from framework.cli.compare import run_diff
from framework.cli.main import build_parser
from framework.core.errors import ConfigError, UnknownNameError, UsageError
from framework.core.field_paths import FieldPath
from framework.core.redaction import redact
from framework.reports.comparison import Cause, ModelDifference, ObjectDifference
from tests.reports.repository import FILES, Repository
from tests.shipped import SHIPPED

_ALPHA = FILES["catalog/alpha.yaml"] or ""
_BETA = FILES["catalog/beta.yaml"] or ""
_PROD = "environments/prod/environment.yaml"
Run = Callable[..., str]


@pytest.fixture
def run(repository: Repository, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `diff` in the repository, checks its exit code and returns its output."""

    def _run(*arguments: str, code: int = 0) -> str:
        options = build_parser().parse_args(["diff", *arguments])
        assert run_diff(repository.root, options) == code
        return capsys.readouterr().out

    return _run


def _model(run: Run, name: str, *arguments: str) -> dict[str, Any]:
    models = json.loads(run(*arguments, "--json"))["models"]
    return next(model for model in models if model["name"] == name)


def _setting(model: dict[str, Any], path: str) -> tuple[Any, ...]:
    setting = next(setting for setting in model["settings"] if setting["path"] == path)
    positions = [(cause["oldPosition"], cause["newPosition"]) for cause in setting["causes"]]
    return setting["old"], setting["new"], positions


def _fields(model: dict[str, Any], kind: str) -> dict[str, tuple[Any, Any, list[str]]]:
    changed = next(obj for obj in model["objects"] if obj["kind"] == kind)
    return {
        field["path"]: (field["old"], field["new"], [cause["setting"] for cause in field["causes"]])
        for field in changed["fields"]
    }


def test_each_setting_and_field_names_the_lines_on_both_sides(run: Run) -> None:
    model = _model(run, "alpha", "dev", "--to", "prod")
    overlay = "environments/prod/models/alpha.yaml:1:11"
    assert _setting(model, "replicas") == (2, 4, [("catalog/_defaults.yaml:1:11", overlay)])
    fields = _fields(model, "Deployment")
    assert fields["spec.replicas"] == (2, 4, ["replicas"])
    assert fields["spec.minReadySeconds"] == (0, 9, ["rollout"])
    assert not any("namespace" in path for path in fields)


def test_an_interpolation_of_the_environments_name_is_its_own_cause(
    run: Run, repository: Repository
) -> None:
    repository.write({"catalog/alpha.yaml": _ALPHA + "labels: {e: 'in-${environment.name}'}\n"})
    model = _model(run, "alpha", "dev", "--to", "prod")
    assert _fields(model, "Service")["metadata.labels.e"] == (
        "in-dev", "in-prod", ["environment.name"],
    )  # fmt: skip
    position = "catalog/alpha.yaml:4:13"
    assert _setting(model, "labels.e") == ("in-dev", "in-prod", [(position, position)])


def test_differences_of_all_models_are_shown_once(run: Run) -> None:
    text = run("dev", "--to", "prod")
    assert text.count("spec.minReadySeconds") == 1
    assert "all 2 models that run in both" in text
    assert max(map(len, text.splitlines())) <= 100


def test_model_of_one_environment_names_the_reason(run: Run, repository: Repository) -> None:
    repository.write({"environments/prod/models/beta.yaml": "enabled: false\n"})
    text = run("dev", "--to", "prod", "--model", "beta")
    position = "environments/prod/models/beta.yaml:1:10"
    assert f"beta runs only in dev; in prod enabled: false at {position}" in text
    assert "beta runs only in dev" in run("dev", "--to", "prod", "--format", "markdown")


def test_a_change_is_shown_field_by_field_with_its_line(run: Run, repository: Repository) -> None:
    repository.write({"catalog/alpha.yaml": _ALPHA.replace("'1'", "'2'")})
    repository.write({"catalog/gamma.yaml": _ALPHA, "catalog/beta.yaml": None})
    text = run("prod", "--since", "main", "--exit-code", code=16)
    assert "3 of 3 models change" in text
    assert "containers[model].image  small:1 -> small:2\n" in text
    assert "catalog/alpha.yaml:3:14 (image.tag)" in text
    assert "+ gamma  Deployment, Service, ServiceAccount: catalog/gamma.yaml is new" in text
    assert "- beta  Deployment, Service, ServiceAccount: catalog/beta.yaml is gone" in text


def test_markdown_has_a_table_and_folds_each_model(run: Run, repository: Repository) -> None:
    repository.write({"catalog/alpha.yaml": _ALPHA.replace("'1'", "'2'")})
    text = run("prod", "--since", "main", "--format", "markdown")
    assert text.startswith("### prod: 1 of 2 models changes\n")
    assert "| alpha | changed | containers\\[model\\].image small:1 → small:2 |" in text
    assert "<details><summary>alpha</summary>\n\n```diff\n" in text
    assert "@@ catalog/alpha.yaml:3:14 (image.tag) @@\n- spec.template" in text
    assert text.count("<details>") == text.count("</details>") == 1


def test_markdown_escapes_values_of_the_catalog(run: Run, repository: Repository) -> None:
    evil = "```\n</details><script>| @everyone `x` [a](b)"
    text = json.dumps({"TEXT": evil})
    repository.write({"catalog/alpha.yaml": f"{_ALPHA}env: {text}\n"})
    found = run("prod", "--since", "main", "--format", "markdown")
    table = next(line for line in found.splitlines() if line.startswith("| alpha"))
    assert table.replace("\\|", "").count("|") == 4
    assert "<script>" not in table
    assert "````diff" in found


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_models_with_the_same_change_are_grouped(
    form: str, run: Run, repository: Repository
) -> None:
    files = {f"catalog/m{n}.yaml": _ALPHA for n in range(30)}
    repository.write(files)
    repository.commit()
    repository.write({_PROD: "namespace: ml-prod\noverrides: {preStopSeconds: 7}\n"})
    text = run("prod", "--since", "HEAD", "--format", form)
    assert text.count("preStop") <= 2 * 4
    more = "beta, m0, m1, m10, m11, m12 and 25 more" if form == "text" else "(31 models)"
    assert more in text


def test_causes_are_sorted_by_file_and_then_by_line_number() -> None:
    positions = [None, "catalog/a.yaml:18:3", "catalog/a.yaml:18:12", "catalog/a.yaml:119:3"]
    positions += ["catalog/b.yaml:2:1", "main:catalog/a.yaml:7:1"]
    causes = tuple(Cause("replicas", position) for position in sorted(positions, key=str))
    objects = (ObjectDifference("Service", "a", "added", causes=causes),)
    model = ModelDifference("a", "changed", objects=objects)
    assert [cause.position for cause in model.causes] == positions


def test_no_difference_exits_with_0(run: Run) -> None:
    text = run("prod", "--since", "main", "--exit-code")
    assert "no manifest of 2 models changes" in text


def test_settings_that_change_no_manifest_are_listed_separately(
    run: Run, repository: Repository
) -> None:
    repository.write({"catalog/alpha.yaml": _ALPHA + "links: {doc: x}\n"})
    text = run("prod", "--since", "main", "--exit-code", code=16)
    assert "no manifest of 2 models changes" in text
    assert "settings change, manifests do not: alpha" in text


def test_the_environments_own_settings_are_shown(run: Run, repository: Repository) -> None:
    text = FILES[_PROD] or ""
    repository.write({_PROD: f"{text}cluster: {{context: other}}\nprotect: true\n"})
    shown = run("prod", "--since", "main")
    assert "environment.cluster.context  local -> other" in shown
    assert f"{_PROD}:6:10 (environment.protect)" in shown


_BETA_WITH_ERROR = f"{_BETA}replica: 1\n"
_POSITION = "catalog/beta.yaml:5:1"


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_errors_are_shown_beside_the_valid_models(
    form: str, run: Run, repository: Repository
) -> None:
    repository.write({"catalog/alpha.yaml": _ALPHA.replace("'1'", "'2'")})
    repository.write({"catalog/beta.yaml": _BETA_WITH_ERROR})
    text = run("prod", "--since", "main", "--format", form, "--exit-code", code=1)
    assert "1 of 1 model changes, 1 not compared\n" in text
    assert "small:1 " in text
    assert "not compared: beta" in text
    assert f'{_POSITION}  MC101  "replica" is not a setting of a model' in text
    alone = run("prod", "--since", "main", "--format", form, "--model", "alpha")
    assert "small:1 " in alone
    assert "beta" not in alone


def test_json_has_the_differences_and_the_errors(run: Run, repository: Repository) -> None:
    repository.write({"catalog/beta.yaml": _BETA_WITH_ERROR})
    repository.commit()
    repository.write({"catalog/beta.yaml": _BETA, "catalog/alpha.yaml": _ALPHA + "args: [x]\n"})
    found = json.loads(run("prod", "--since", "HEAD", "--json", code=1))
    assert [model["name"] for model in found["models"]] == ["alpha"]
    assert (found["compared"], found["notCompared"], found["failure"]) == (True, ["beta"], None)
    assert (found["unchanged"], found["mergeBase"]) == (0, None)
    (diagnostic,) = found["diagnostics"]
    assert (diagnostic["path"], diagnostic["line"], diagnostic["code"]) == (
        "HEAD:catalog/beta.yaml",
        5,
        "MC101",
    )


def test_error_in_a_layer_of_the_commit_names_the_layer(run: Run, repository: Repository) -> None:
    profile = "catalog/_profiles/large.yaml"
    repository.write({profile: f"{FILES[profile]}replica: 1\n"})
    repository.commit()
    repository.write({profile: FILES[profile]})
    (diagnostic,) = json.loads(run("prod", "--since", "HEAD", "--json", code=1))["diagnostics"]
    assert (diagnostic["path"], diagnostic["layer"]) == (f"HEAD:{profile}", "profile large")


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_models_that_violate_a_policy_are_compared(
    form: str, run: Run, repository: Repository
) -> None:
    policy = f"{FILES[_PROD]}policy: {{requireDigest: true}}\n"
    repository.write({_PROD: policy, "catalog/alpha.yaml": _ALPHA.replace("'1'", "'2'")})
    text = run("prod", "--since", "main", "--format", form, code=1)
    assert "1 of 2 models changes\n" in text
    assert "2 errors; all manifests are compared nevertheless:\n" in text


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_an_environment_that_cannot_be_read_is_not_compared(
    form: str, run: Run, repository: Repository
) -> None:
    repository.write({_PROD: "namespace: [\n"})
    text = run("prod", "--since", "main", "--format", form, code=1)
    assert ": not compared\n" in text
    assert f"{_PROD}:2:1  MC002  " in text
    repository.write({"catalog/alpha.yaml": _ALPHA.replace("'1'", "'2'")})
    assert "1 of 2 models changes\n" in run("dev", "--since", "main", "--format", form)


def test_label_pattern_reports_models_with_errors_whose_labels_are_unknown(
    run: Run, repository: Repository
) -> None:
    repository.write({"catalog/beta.yaml": _BETA_WITH_ERROR})
    found = json.loads(run("prod", "--since", "main", "--model", "owner=red", "--json", code=1))
    assert (found["models"], found["notCompared"]) == ([], ["beta"])


def test_two_environments_with_errors_are_not_compared(run: Run, repository: Repository) -> None:
    repository.write({"catalog/beta.yaml": _BETA_WITH_ERROR})
    with pytest.raises(ConfigError, match=f"^{_POSITION}"):
        run("dev", "--to", "prod")


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_merge_base_is_named(form: str, run: Run, repository: Repository) -> None:
    base = repository.git("rev-parse", "--short=7", "HEAD").strip()
    repository.git("checkout", "--quiet", "main")
    repository.write({"catalog/beta.yaml": _BETA + "args: [x]\n"})
    repository.commit()
    repository.git("checkout", "--quiet", "work")
    repository.write({"environments/prod/models/alpha.yaml": None})
    text = run("prod", "--since", "main", "--format", form)
    assert f"main, where this branch left it ({base})" in text
    assert f"{base}:environments/prod/models/alpha.yaml:1:11 (replicas, removed)" in text
    assert "beta" not in text


_SECRET = "hunter42"
_SECRETS = [
    ("a changed variable", f"env: {{API_TOKEN: {_SECRET}}}\n", "env: {API_TOKEN: hunter42-new}\n"),
    ("an added variable", "", f"env: {{DB_PASSWORD: {_SECRET}}}\n"),
    ("a removed variable", f"env: {{DB_PASSWORD: {_SECRET}}}\n", ""),
    ("a sidecar's", "", f"sidecars: {{s: {{image: i:1, env: {{API_TOKEN: {_SECRET}}}}}}}\n"),
    ("an annotation", "", f"annotations: {{x.io/api-key: {_SECRET}}}\n"),
    ("a link", "", f"links: {{token: {_SECRET}}}\n"),
]


@pytest.mark.parametrize("form", [["--json"], ["--format", "text"], ["--format", "markdown"]])
@pytest.mark.parametrize(
    ("old", "new"), [case[1:] for case in _SECRETS], ids=[case[0] for case in _SECRETS]
)
def test_no_secret_is_printed(
    old: str, new: str, form: list[str], run: Run, repository: Repository
) -> None:
    repository.write({"catalog/alpha.yaml": _ALPHA + old})
    repository.commit()
    repository.write({"catalog/alpha.yaml": _ALPHA + new})
    text = run("prod", "--since", "HEAD", *form)
    assert "alpha" in text
    assert _SECRET not in text
    overlay = "environments/prod/models/alpha.yaml"
    repository.write({"catalog/alpha.yaml": _ALPHA, overlay: "replicas: 4\n" + (old or new)})
    assert _SECRET not in run("dev", "--to", "prod", *form)


def _write_token_and_copies(token: str, path: str) -> str:
    url = f"https://hooks.internal.example.com/{path}/team-nlp/models/w-300/${{env.API_TOKEN}}/end"
    files = f"config: {{mountPath: /etc/app, files: {{app.conf: 'x ${{env.API_TOKEN}} {path}'}}}}\n"
    return f"env: {{API_TOKEN: {token}, HOOK: '{url}', OTHER: 'x ${{env.API_TOKEN}}'}}\n{files}"


@pytest.mark.parametrize("form", [["--json"], ["--format", "text"], ["--format", "markdown"]])
def test_copy_of_a_secret_is_redacted_although_its_value_is_cut_or_escaped(
    form: list[str], run: Run, repository: Repository
) -> None:
    old = _write_token_and_copies("qW7_oldtoken_4455_ddddeeeeffff", "v1")
    new = _write_token_and_copies("zX9-newtoken-7733-hhhhiiiijjjj", "v2")
    repository.write({"catalog/alpha.yaml": _ALPHA + old})
    repository.commit()
    repository.write({"catalog/alpha.yaml": _ALPHA + new})
    texts = [run("prod", "--since", "HEAD", *form)]
    overlay = "environments/prod/models/alpha.yaml"
    repository.write({"catalog/alpha.yaml": _ALPHA + old, overlay: "replicas: 4\n" + new})
    texts.append(run("dev", "--to", "prod", *form))
    for text in texts:
        assert "OTHER" in text
        assert not re.search("qW7|zX9|oldtoken|newtoken|4455|7733|ffff|jjjj", text)


def test_references_to_secrets_are_shown() -> None:
    shown = {"secretKeyRef": {"name": "hub", "optional": True}}
    assert redact(FieldPath.parse("spec.env[HUB_TOKEN].valueFrom").steps, shown) == shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "exactly one of TO=prod and SINCE=main"),
        (["--to", "dev", "--since", "main"], "exactly one of"),
        (["--to", "prod"], "TO=prod is ENV itself"),
        (["--to", "dve"], "did you mean dev"),
        (["--to", "dev", "--format", "github"], "FORMAT=markdown"),
        (["--to", "dev", "--model", "alpa"], "did you mean alpha"),
        (["--to", "dev", "--model", "owner=reed"], "did you mean owner=red"),
        (["--since", "main", "--model", "alpa"], "did you mean alpha"),
        (["--since", "nope"], "SINCE=nope: git reports"),
    ],
)
def test_wrong_usage_names_what_is_valid(arguments: list[str], message: str, run: Run) -> None:
    with pytest.raises(UsageError, match=message):
        run("prod", *arguments)


def test_unknown_environment_lists_the_known_ones(run: Run) -> None:
    with pytest.raises(UnknownNameError, match="known: dev, prod"):
        run("staging", "--to", "prod")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("alpha", ["alpha"]), ("*a", ["alpha", "beta"]), ("owner=blue", ["beta"])],
)
@pytest.mark.parametrize("against", [["--to", "dev"], ["--since", "main"]], ids=["to", "since"])
def test_model_pattern_limits_what_is_compared(
    pattern: str, names: list[str], against: list[str], run: Run, repository: Repository
) -> None:
    repository.write({"catalog/_defaults.yaml": "replicas: 2\nports: {http: 99}\n"})
    found = json.loads(run("prod", *against, "--model", pattern, "--json"))
    assert [model["name"] for model in found["models"]] == names
    assert found["unchanged"] == 0


def test_the_shipped_environments_can_be_compared(capsys: pytest.CaptureFixture[str]) -> None:
    options = build_parser().parse_args(["diff", "staging", "--to", "prod"])
    assert run_diff(SHIPPED, options) == 0
    first = capsys.readouterr().out
    assert first.startswith("staging | prod: ")
    assert run_diff(SHIPPED, options) == 0
    assert capsys.readouterr().out == first
