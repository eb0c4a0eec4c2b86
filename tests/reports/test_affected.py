"""`affected` lists exactly the models whose manifests change, with the line that is the cause."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from framework.cli.compare import run_affected
from framework.cli.main import build_parser
from framework.core.errors import ConfigError, UnknownNameError, UsageError
from framework.core.stack import Stack
from framework.plan import PlanStore
from framework.reports.compare import compare_since
from framework.reports.comparison import CommitComparison
from framework.reports.sides import find_touched_models
from tests.conftest import Project
from tests.reports.repository import FILES, Repository
from tests.shipped import copy_shipped
from tests.trees import write_tree


def _pairs(since: CommitComparison) -> set[tuple[str, str]]:
    """Returns the affected (environment, model); the model is "" for the Namespace."""
    pairs = {(e.environment, model.name) for e in since.affected for model in e.affected}
    return pairs | {(e.environment, "") for e in since.affected if e.objects}


def _causes(since: CommitComparison) -> dict[tuple[str, str], list[str]]:
    """Returns the causes of each affected (environment, model) as "position setting"."""
    return {
        (e.environment, model.name): [
            f"{cause.position or '-'} {cause.setting}" for cause in model.causes
        ]
        for e in since.affected
        for model in e.affected
    }


_BETA = FILES["catalog/beta.yaml"] or ""
_ALPHA_ONLY = {("dev", "alpha"), ("prod", "alpha")}
_BETA_ONLY = {("dev", "beta"), ("prod", "beta")}
_PROD = "environments/prod/environment.yaml"
_CHANGES: list[tuple[str, dict[str, str | None], set[tuple[str, str]]]] = [
    ("nothing", {}, set()),
    ("a comment", {"catalog/beta.yaml": "# hello\n" + _BETA}, set()),
    ("a setting that is in no manifest", {"catalog/beta.yaml": _BETA + "links: {doc: x}\n"}, set()),
    ("a default", {"catalog/_defaults.yaml": "replicas: 2\nports: {http: 8081}\n"},
     _ALPHA_ONLY | _BETA_ONLY),
    ("a default that prod overrides",
     {"catalog/_defaults.yaml": "replicas: 5\nports: {http: 8080}\npreStopSeconds: 5\n"},
     {("dev", "alpha"), ("dev", "beta")}),
    ("a profile", {"catalog/_profiles/small.yaml": "image: {repository: r/tiny}\n"}, _ALPHA_ONLY),
    ("a profile that no model lists", {"catalog/_profiles/new.yaml": "replicas: 9\n"}, set()),
    ("a model", {"catalog/beta.yaml": _BETA.replace("'1'", "'2'")}, _BETA_ONLY),
    ("a model rewritten with the same meaning",
     {"catalog/beta.yaml": yaml.safe_dump(yaml.safe_load(_BETA))}, set()),
    ("a new model", {"catalog/new.yaml": "owner: t\nprofiles: [small]\nimage: {tag: x}\n"},
     {("dev", "new"), ("prod", "new")}),
    ("a removed model", {"catalog/beta.yaml": None}, _BETA_ONLY),
    ("a removed overlay", {"environments/prod/models/alpha.yaml": None}, {("prod", "alpha")}),
    ("a disabled model", {"environments/prod/models/beta.yaml": "enabled: false\n"},
     {("prod", "beta")}),
    ("an environment's override",
     {_PROD: "namespace: ml-prod\ndefaults: {replicas: 3}\noverrides: {replicas: 4}\n"},
     {("prod", "alpha"), ("prod", "beta")}),
    ("a namespace", {"environments/dev/environment.yaml": "namespace: other\n"},
     {("dev", ""), ("dev", "alpha"), ("dev", "beta")}),
    ("a cluster", {"environments/dev/environment.yaml":
                   "namespace: ml-dev\ncluster: {context: x}\n"}, set()),
    ("a new environment", {"environments/test/environment.yaml": "namespace: ml-test\n"},
     {("test", ""), ("test", "alpha"), ("test", "beta")}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"), [case[1:] for case in _CHANGES], ids=[case[0] for case in _CHANGES]
)
def test_affected_lists_exactly_the_models_that_render_differently(
    changes: dict[str, str | None], expected: set[tuple[str, str]], repository: Repository
) -> None:
    repository.write(changes)
    assert _pairs(compare_since(repository.root, "main", None, why=False)) == expected
    assert _pairs(compare_since(repository.root, "main", None)) == expected


_WHY: list[tuple[str, dict[str, str | None], list[str]]] = [
    ("the model's own line", {"catalog/alpha.yaml": "owner: red\nprofiles: [small]\nargs: [a]\n"
                              "image: {tag: '1'}\n"}, ["catalog/alpha.yaml:3:8 args"]),
    ("a default", {"catalog/_defaults.yaml": "ports: {http: 8081}\nreplicas: 2\n"
                   "preStopSeconds: 5\n"}, ["catalog/_defaults.yaml:1:15 ports.http"]),
    ("a setting that an interpolation reads", {"catalog/alpha.yaml":
     "owner: red\nprofiles: [small]\nimage: {tag: '1'}\nlabels: {v: '${description}'}\n"
     "description: x\n"},
     ["catalog/alpha.yaml:4:13 labels.v", "catalog/alpha.yaml:5:14 description"]),
    ("a removed overlay", {"environments/prod/models/alpha.yaml": None},
     ["main:environments/prod/models/alpha.yaml:1:11 replicas"]),
    ("another profile", {"catalog/alpha.yaml": "owner: red\nprofiles: [large]\n"
                         "image: {tag: '1'}\n"},
     ["catalog/alpha.yaml:2:11 env.SIZE", "catalog/alpha.yaml:2:11 image.repository"]),
    ("a namespace", {_PROD: "namespace: other\ndefaults: {replicas: 3}\noverrides:\n"
                     "  rollout: {minReadySeconds: 9}\n"},
     [f"{_PROD}:1:12 environment.namespace"]),
    ("a key set to null", {"environments/prod/models/alpha.yaml":
                           "replicas: 4\nenv: {SIZE: null}\n"},
     ["environments/prod/models/alpha.yaml:2:13 env.SIZE"]),
    ("an item of a list", {"catalog/_profiles/small.yaml":
     "image: {repository: r/small}\nenv: {SIZE: small}\nargs:\n- a\n- b\n"},
     ["catalog/_profiles/small.yaml:4:3 args"]),
    ("a candidate", {"catalog/alpha.yaml": "owner: red\nprofiles: [small]\nimage: {tag: '1'}\n"
                     "canary: {candidate: {image: {tag: '2'}}}\n"},
     ["catalog/alpha.yaml:4:21 canary.candidate"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"), [case[1:] for case in _WHY], ids=[case[0] for case in _WHY]
)
def test_why_names_the_line_that_changed(
    changes: dict[str, str | None], expected: list[str], repository: Repository
) -> None:
    repository.write(changes)
    assert _causes(compare_since(repository.root, "main", "prod"))["prod", "alpha"] == expected


def test_interpolation_has_the_line_that_it_reads_as_cause(
    repository: Repository,
) -> None:
    repository.write({"catalog/beta.yaml": _BETA.replace("'1'", "'2'")})
    found = _causes(compare_since(repository.root, "main", "dev"))
    assert found == {("dev", "beta"): ["catalog/beta.yaml:3:14 image.tag"]}


@pytest.mark.parametrize(
    ("path", "only"),
    [
        ("catalog/m.yaml", {"m"}),
        ("environments/dev/models/m.yaml", {"m"}),
        ("environments/prod/environment.yaml", set()),
        ("requirements.lock", set()),
        ("catalog/_defaults.yaml", None),
        ("catalog/_profiles/p.yaml", None),
        ("environments/dev/environment.yaml", None),
        ("framework/plan/pods.py", None),
    ],
)
def test_only_models_that_can_differ_are_loaded(path: str, only: set[str] | None) -> None:
    assert find_touched_models({path}, "dev") == only


def test_commits_on_the_other_branch_since_the_merge_base_are_ignored(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    base = repository.git("rev-parse", "HEAD").strip()
    repository.git("checkout", "--quiet", "main")
    repository.write({"catalog/beta.yaml": _BETA + "args: [x]\n"})
    repository.commit()
    repository.git("checkout", "--quiet", "work")
    repository.write({"environments/prod/models/alpha.yaml": None})
    assert _run(repository.root, "--since", "main", "--why") == 0
    head = f"since main, where this branch left it ({base[:7]}): 1 of 4 models in dev, prod change"
    output = capsys.readouterr().out
    assert output.startswith(f"{head}\n")
    removed = "environments/prod/models/alpha.yaml:1:11 (replicas, removed)"
    assert f"~ alpha  {base[:7]}:{removed}" in output
    assert _run(repository.root, "--since", "main", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["commit"], found["mergeBase"]) == (base, base)
    assert _run(repository.root, "--since", base, "--json") == 0
    assert json.loads(capsys.readouterr().out)["mergeBase"] is None


def test_unrelated_histories_are_noted(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "--orphan", "other")
    repository.write({"README.md": "a new history\n"})
    repository.commit()
    repository.write({"catalog/beta.yaml": _BETA + "args: [x]\n"})
    since = compare_since(repository.root, "main", None)
    assert _pairs(since) == _BETA_ONLY
    (note,) = since.notes
    assert note.startswith("main and HEAD have no commit in common here")


def test_an_unknown_environment_names_those_of_either_tree(repository: Repository) -> None:
    repository.write({"environments/test/environment.yaml": "namespace: n\n"})
    with pytest.raises(UnknownNameError, match="known: dev, prod, test"):
        compare_since(repository.root, "main", "staging")


def test_ref_with_the_name_of_an_environment_is_a_ref(repository: Repository) -> None:
    repository.git("branch", "prod")
    repository.write({"environments/prod/models/alpha.yaml": None})
    found = _causes(compare_since(repository.root, "prod", "prod"))
    assert found["prod", "alpha"] == ["prod:environments/prod/models/alpha.yaml:1:11 replicas"]


def _run(root: Path, *arguments: str) -> int:
    return run_affected(root, build_parser().parse_args(["affected", *arguments]))


def test_text_json_and_exit_code_agree(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.write({"catalog/beta.yaml": _BETA.replace("'1'", "'2'")})
    assert _run(repository.root, "--since", "main") == 0
    assert "2 of 4 models in dev, prod change\n  dev      beta\n" in capsys.readouterr().out
    assert _run(repository.root, "--since", "main", "--why", "--exit-code") == 16
    assert "~ beta  catalog/beta.yaml:3:14 (image.tag)" in capsys.readouterr().out
    assert _run(repository.root, "prod", "--since", "main", "--json") == 0
    found = json.loads(capsys.readouterr().out)["environments"]
    assert found == [
        {"environment": "prod", "change": "changed", "namespace": False,
         "models": [{"name": "beta", "change": "changed", "reason": None, "causes": None}]}
    ]  # fmt: skip
    repository.commit()
    assert _run(repository.root, "--since", "HEAD", "--exit-code") == 0
    assert "no manifest changes (dev, prod)" in capsys.readouterr().out


_NEW = {"environments/test/environment.yaml": "namespace: n\n"}


@pytest.mark.parametrize(
    ("added", "message"), [(True, "+ new environment"), (False, "- environment removed")]
)
def test_new_or_removed_environment_is_named_without_its_namespace(
    added: bool, message: str, repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    repository.write(_NEW)
    if not added:
        repository.commit()
        shutil.rmtree(repository.root / "environments/test")
    assert _run(repository.root, "--since", "HEAD", "--why") == 0
    output = capsys.readouterr().out
    assert _run(repository.root, "--since", "HEAD") == 0
    assert f"    {message}\n" in output
    assert "Namespace" not in output + capsys.readouterr().out


def test_affected_without_a_commit_is_refused(repository: Repository) -> None:
    with pytest.raises(UsageError, match="give SINCE=main"):
        _run(repository.root)


# The next tests change framework code, so their repositories hold a copy of the package.


@pytest.fixture
def repository_with_code(make_project: Any) -> Repository:
    project: Project = make_project("sentiment", "fraud")
    # A copy instead of the link to the one for all tests: these tests change the code.
    (project.root / "framework").unlink()
    copy_shipped(project.root, "framework")
    (project.root / ".gitignore").write_text(".state/\n__pycache__/\n")
    return Repository(project.root, {})


_ROLLING = '"type": "RollingUpdate", "rollingUpdate": amounts'
_RECREATE = '"type": "Recreate", **dict()'


def _edit_code(root: Path, old: str, new: str) -> None:
    file = root / "framework/kinds/deployment.py"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_old_trees_are_rendered_by_their_own_code(repository_with_code: Repository) -> None:
    _edit_code(repository_with_code.root, _ROLLING, _RECREATE)
    repository_with_code.commit()
    _edit_code(repository_with_code.root, _RECREATE, _ROLLING)
    found = _causes(compare_since(repository_with_code.root, "HEAD", "dev"))
    assert found == {("dev", name): ["- framework code"] for name in ("fraud", "sentiment")}
    assert _pairs(compare_since(repository_with_code.root, "main", "dev")) == set()


def test_causes_distinguish_code_from_settings(repository_with_code: Repository) -> None:
    _edit_code(repository_with_code.root, _ROLLING, _RECREATE)
    repository_with_code.commit()
    _edit_code(repository_with_code.root, _RECREATE, _ROLLING)
    overlay = "environments/dev/models/fraud.yaml"
    repository_with_code.write({overlay: "env: {ADDED: x}\n"})
    found = _causes(compare_since(repository_with_code.root, "HEAD", "dev"))
    assert found["dev", "sentiment"] == ["- framework code"]
    assert found["dev", "fraud"] == ["- framework code", f"{overlay}:1:14 env.ADDED"]


def test_code_that_changes_no_manifest_affects_nothing(repository_with_code: Repository) -> None:
    file = repository_with_code.root / "framework/kinds/deployment.py"
    file.write_text(file.read_text() + "\n# a comment\n")
    assert _pairs(compare_since(repository_with_code.root, "main", "dev")) == set()


def test_commit_without_framework_is_not_compared(repository_with_code: Repository) -> None:
    repository_with_code.git("rm", "-r", "--quiet", "--cached", "framework")
    repository_with_code.git("commit", "--quiet", "--message", "without")
    _check_failure(repository_with_code, r"HEAD: there is no framework/ to render it with")


def test_commit_whose_code_cannot_render_is_not_compared(repository_with_code: Repository) -> None:
    file = repository_with_code.root / "framework/kinds/deployment.py"
    text = file.read_text()
    file.write_text("raise RuntimeError('half done')\n")
    repository_with_code.commit()
    file.write_text(text)
    crash = r"framework/kinds/deployment\.py:1: unexpected RuntimeError; the Traceback is in "
    _check_failure(repository_with_code, rf"HEAD: its own `render dev --json` failed:\n{crash}")


def test_other_code_fails_only_for_the_environment_with_errors(
    repository_with_code: Repository,
) -> None:
    overlay = repository_with_code.root / "environments/dev/models/fraud.yaml"
    overlay.write_text("replica: 1\n")
    _edit_code(repository_with_code.root, _ROLLING, _RECREATE)
    repository_with_code.commit()
    _edit_code(repository_with_code.root, _RECREATE, _ROLLING)
    overlay.unlink()
    _check_failure(repository_with_code, r"HEAD: its own `render dev --json` failed:\n.*replica")
    found = _causes(compare_since(repository_with_code.root, "HEAD", "prod"))
    assert found == {("prod", name): ["- framework code"] for name in ("fraud", "sentiment")}


def _check_failure(repository: Repository, message: str) -> None:
    since = compare_since(repository.root, "HEAD", "dev")
    (environment,) = since.environments
    assert re.match(message, environment.failure or "")
    assert not environment.compared
    assert since.incomplete == (environment,)
    assert since.has_errors


def test_other_packages_are_noted(repository: Repository) -> None:
    repository.write({"requirements.lock": "x==1\n"})
    since = compare_since(repository.root, "main", None)
    assert (_pairs(since), len(since.notes)) == (set(), 1)


# Random edits: `affected` must agree with a full render of both trees.

_VALUES: dict[tuple[str, ...], list[Any]] = {
    ("replicas",): [2, 3, 4],
    ("enabled",): [True, False],
    ("env", "SIZE"): ["small", "other", None],
    ("env", "EXTRA"): ["x", "${name}", "${environment.name}", None],
    ("labels", "version"): ["a", "${image.tag}", "${env.KEPT}"],
    ("env", "KEPT"): ["y", "${owner}"],
    ("image", "tag"): ["1", "2"],
    ("rollout", "minReadySeconds"): [0, 9],
    ("canary", "size"): [1, "50%"],
    ("canary", "mode"): ["within", "additional"],
    ("canary", "candidate"): [{"image": {"tag": "9"}}, {"env": {"EXTRA": "z"}}, None],
    ("args",): [["a"], ["a", "b"], []],
    ("description",): ["one", "two"],
    ("links", "doc"): ["one", "two"],
}
_SECTIONS = [
    ("catalog/_defaults.yaml",),
    ("catalog/_profiles/small.yaml",),
    ("catalog/_profiles/large.yaml",),
    ("catalog/alpha.yaml",),
    ("catalog/beta.yaml",),
    ("environments/dev/environment.yaml", "defaults"),
    ("environments/dev/environment.yaml", "overrides"),
    ("environments/prod/environment.yaml", "defaults"),
    ("environments/prod/environment.yaml", "overrides"),
    ("environments/prod/models/alpha.yaml",),
    ("environments/dev/models/beta.yaml",),
]
_Documents = dict[str, dict[str, Any]]


def _documents() -> _Documents:
    found: _Documents = {path: yaml.safe_load(text or "") for path, text in FILES.items()}
    found["catalog/_defaults.yaml"]["env"] = {"KEPT": "y"}
    return found


def _edit(documents: _Documents, rng: random.Random) -> None:
    """Makes one random edit: sets or removes a setting, reorders keys, or changes the profiles."""
    kind = rng.choices(
        ["set", "drop", "order", "profiles", "namespace", "file"], [9, 3, 2, 1, 1, 1]
    )
    path, *below = rng.choice(_SECTIONS)
    document = documents.setdefault(path, {})
    section = document.setdefault(below[0], {}) if below else document
    key = rng.choice(list(_VALUES))
    match kind[0]:
        case "set":
            for name in key[:-1]:
                section = section.setdefault(name, {})
            section[key[-1]] = deepcopy(rng.choice(_VALUES[key]))
        case "drop" if key[0] != "image" and len(key) == 1:
            section.pop(key[0], None)
        case "order":
            items = list(document.items())
            rng.shuffle(items)
            documents[path] = dict(items)
            for child in (value for value in documents[path].values() if isinstance(value, dict)):
                inner = list(child.items())
                rng.shuffle(inner)
                child.clear()
                child.update(inner)
        case "profiles":
            chosen = rng.choice([["small"], ["large"], ["small", "large"], ["large", "small"]])
            documents[rng.choice(["catalog/alpha.yaml", "catalog/beta.yaml"])]["profiles"] = chosen
        case "namespace":
            documents["environments/dev/environment.yaml"]["namespace"] = rng.choice(["a", "b"])
        case "file":
            documents.pop(
                rng.choice([path for path in documents if "/models/" in path] or [""]), None
            )


def _texts(documents: _Documents, rng: random.Random) -> dict[str, str]:
    return {
        path: f"# {rng.randrange(9)}\n" + yaml.safe_dump(data, sort_keys=False)
        for path, data in documents.items()
    }


def _render(root: Path, files: Mapping[str, str]) -> dict[tuple[str, str], str]:
    """Writes `files` and renders every model of every environment, without comparing."""
    write_tree(root, files)
    found = {}
    for environment in ("dev", "prod"):
        plan = PlanStore(root).load_one(Stack.of(environment)).require()
        found[environment, ""] = json.dumps(plan.namespace.object, sort_keys=True)
        for model in plan.models:
            objects = [manifest.object for manifest in model.manifests]
            found[environment, model.name] = json.dumps(objects, sort_keys=True)
    return found


def _check(seed: int, folder: Path) -> int:
    """Checks `affected` after random edits against a full render of both trees.

    Returns the number of affected models and namespaces, or -1 if a tree has errors.
    """
    rng = random.Random(seed)
    documents = _documents()
    for _ in range(rng.randrange(4)):
        _edit(documents, rng)
    old = _texts(documents, rng)
    for _ in range(rng.randrange(1, 4)):
        _edit(documents, rng)
    new = _texts(documents, rng)
    try:
        before, after = _render(folder / "old", old), _render(folder / "new", new)
    except ConfigError:
        return -1
    repository = Repository(folder / "repository", dict(old))
    repository.write({**dict.fromkeys(old.keys() - new.keys()), **new})
    expected = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    since = compare_since(repository.root, "main", None)
    assert _pairs(since) == expected, f"seed {seed}"
    models = [model for environment in since.affected for model in environment.affected]
    unexplained = [model.name for model in models if not (model.causes or model.reason)]
    assert not unexplained, f"seed {seed}"
    return len(expected)


def _check_all(seeds: range, folder: Path) -> None:
    counts = [_check(seed, folder / str(seed)) for seed in seeds]
    checked = [count for count in counts if count >= 0]
    assert len(checked) > len(counts) / 2
    assert 0 in checked
    assert max(checked) > 1


def test_affected_equals_a_full_render_and_compare(tmp_path: Path) -> None:
    _check_all(range(20), tmp_path)


@pytest.mark.grid
@pytest.mark.parametrize("start", range(1000, 1400, 100))
def test_affected_equals_a_full_render_and_compare_over_many_edits(
    start: int, tmp_path: Path
) -> None:
    _check_all(range(start, start + 100), tmp_path)
