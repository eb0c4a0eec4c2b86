"""`render` writes to a folder, applies `--set`, reads only the selected models, and quotes text."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from framework.cli.main import main
from framework.cli.read import build_overrides, run_render
from framework.core.errors import ConfigError, UnknownNameError, UsageError
from framework.output.manifests import render_manifests
from tests.trees import write_tree

FILES = {
    "catalog/_defaults.yaml": "image: {repository: r, tag: '1'}\nports: {http: 80}\nreplicas: 2\n",
    "catalog/a.yaml": "owner: t\nconfig: {mountPath: /c, files: {x: '1'}}\n",
    "catalog/b.yaml": "owner: t\n",
    "environments/dev/environment.yaml": "namespace: ml-dev\n",
    "environments/prod/environment.yaml": "namespace: ml-prod\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A catalog of two models and two environments."""
    return write_tree(tmp_path, FILES)


def _render(root: Path, environment: str = "dev", **options: Any) -> int:
    given = {"model": None, "set": None, "out": None, "json": False, **options}
    return run_render(root, argparse.Namespace(environment=environment, **given))


def _files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix == ".yaml"
    }


def test_folder_has_one_file_per_object_with_the_printed_manifests(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _render(root) == 0
    shown = capsys.readouterr().out
    assert _render(root, out=str(root / "out")) == 0
    files = _files(root / "out")
    assert sorted(yaml.safe_load_all("".join(files.values())), key=str) == sorted(
        yaml.safe_load_all(shown), key=str
    )
    assert files.keys() >= {"namespace-ml-dev.yaml", "b/deployment-b.yaml", "b/service-b.yaml"}


def test_second_render_writes_the_same_bytes_and_removes_only_its_own_files(root: Path) -> None:
    out = root / "out"
    _render(root, out=str(out))
    before = _files(out)
    (out / "a/notes.txt").write_text("mine")
    _render(root, out=str(out))
    assert _files(out) == before
    (root / "catalog/a.yaml").write_text("owner: t\n")
    (root / "catalog/b.yaml").unlink()
    _render(root, out=str(out))
    assert not (out / "b").exists()
    assert before.keys() - _files(out).keys() >= {
        name for name in before if "configmap-a" in name or name.startswith("b/")
    }
    assert (out / "a/notes.txt").read_text() == "mine"


def test_one_model_leaves_the_files_of_others(root: Path) -> None:
    out = root / "out"
    _render(root, out=str(out))
    before = _files(out)
    _render(root, out=str(out), model="b", set="replicas=5")
    after = _files(out)
    assert after.keys() == before.keys()
    assert [name for name in after if after[name] != before[name]] == ["b/deployment-b.yaml"]
    _render(root, out=str(out))
    assert _files(out) == before


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        pytest.param("file", "is a file", id="a file"),
        pytest.param(
            "others", "is not empty and does not contain an earlier render", id="others' files"
        ),
        pytest.param("dev", 'holds the render of "dev", not of "prod"', id="another environment"),
        pytest.param("outside", "lists ../../x.yaml, which render never writes", id="outside"),
    ],
)
def test_folder_with_other_content_is_refused(prepare: str, message: str, root: Path) -> None:
    out = root / "out"
    if prepare == "file":
        out.write_text("")
    else:
        out.mkdir()
    if prepare == "others":
        (out / "x").write_text("")
    if prepare == "dev":
        _render(root, out=str(out))
    if prepare == "outside":
        (out / ".modelcatalog-render").write_text("prod\n../../x.yaml\n")
    before = _files(out)
    with pytest.raises(UsageError, match=message.replace(".", r"\.")):
        _render(root, "prod", out=str(out))
    assert _files(out) == before


def test_render_prints_the_written_files(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _render(root, out=str(root / "out"), model="b")
    assert "of 1 model written to" in capsys.readouterr().out
    _render(root, out=str(root / "out"), model="b", json=True)
    assert "b/deployment-b.yaml" in json.loads(capsys.readouterr().out)["files"]


def test_set_changes_the_rendered_manifest(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _render(root, model="b", set="replicas=7", json=True)
    objects = {obj["kind"]: obj for obj in json.loads(capsys.readouterr().out)}
    assert objects["Deployment"]["spec"]["replicas"] == 7
    with pytest.raises(ConfigError, match="--set"):
        _render(root, set="replicas=x")


@pytest.mark.parametrize("pattern", ["b", "[ab]"])
def test_render_reads_only_the_selected_models(pattern: str, root: Path) -> None:
    (root / "catalog/broken.yaml").write_text("owner: [\n")
    assert _render(root, model=pattern) == 0


def test_unknown_or_disabled_model_is_refused(root: Path) -> None:
    with pytest.raises(UnknownNameError, match="known: a, b"):
        _render(root, model="x*")
    (root / "environments/dev/models").mkdir()
    (root / "environments/dev/models/b.yaml").write_text("enabled: false\n")
    with pytest.raises(UsageError, match="does not run in dev"):
        _render(root, model="b")


def test_one_model_renders_the_same_alone_and_among_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", "prod", "--model", "sentiment"]) == 0
    alone = capsys.readouterr().out
    assert main(["render", "prod"]) == 0
    assert alone in capsys.readouterr().out


# Texts that some parser reads as another type unless they are quoted. Tried with kubectl's parser
# (sigs.k8s.io/yaml), ruamel.yaml (YAML 1.1 and 1.2) and the yaml package of npm.
AMBIGUOUS_TEXTS = [
    "y", "n", "Y", "N", "on", "Off", "yes", "NO", "true", "~", "null", "Null", "=", "<<", "1e3",
    "1E3", "-1e3", "1.e5", ".5e3", "12e03", "0e0", "e9", "09", "007", "0o17", "0O17", "0x10",
    "0X1F", "0b11", "0B1", "1_000", "+.5", "-.5", ".", "._", "-_", "12:30:45", "07:30",
    "+12:30", "2001-01-01", "2001-1-1", ".inf", ".NaN",
]  # fmt: skip


@pytest.mark.parametrize("text", AMBIGUOUS_TEXTS)
def test_text_that_some_parser_reads_as_another_type_is_quoted(text: str) -> None:
    manifest = {"value": text, text: "key", "list": [text]}
    rendered = render_manifests([manifest])
    assert rendered == f"---\nvalue: '{text}'\n'{text}': key\nlist:\n- '{text}'\n"
    assert YAML(typ="safe", pure=True).load(rendered) == yaml.safe_load(rendered) == manifest


@pytest.mark.parametrize("text", ["25%", "1.6.1", "1Gi", "v1", "10.0.0.0/8", "yo", "a:1", "-x"])
def test_text_that_every_parser_reads_as_text_stays_plain(text: str) -> None:
    assert render_manifests([{"value": text}]) == f"---\nvalue: {text}\n"


@pytest.mark.parametrize(
    "text", ["a\u2028b", "a\x85b", "---\na\n---\n", "\ta \n", "\ufeffa", "a\rb"]
)
def test_text_with_line_breaks_is_read_back_by_every_parser(text: str) -> None:
    rendered = render_manifests([{"value": text}])
    assert YAML(typ="safe", pure=True).load(rendered) == yaml.safe_load(rendered) == {"value": text}
    # kubectl splits documents at "\n---"; only YAML 1.1 ends a line at U+2028 and U+0085.
    assert rendered.count("\n---") == 0
    assert not {"\u2028", "\x85"} & set(rendered)


SETS = {
    r"resources.limits.nvidia\.com/gpu=1": ("resources", "limits", "nvidia.com/gpu"),
    'resources.limits["nvidia.com/gpu"]=1': ("resources", "limits", "nvidia.com/gpu"),
    r"config.files.run\.sh=1": ("config", "files", "run.sh"),
    "env.A.secret=x": ("env", "A", "secret"),
    "volumes.v.emptyDir.medium=Memory": ("volumes", "v", "emptyDir", "medium"),
    "canary.candidate.image.tag=v2": ("canary", "candidate", "image", "tag"),
}


@pytest.mark.parametrize("assignment", SETS)
def test_set_reaches_keys_with_dots(assignment: str) -> None:
    (document,) = build_overrides(assignment)
    assert SETS[assignment] in document.value_positions


@pytest.mark.parametrize(
    ("assignment", "shown"),
    [
        ("resources.limits.nvidia.com/gpu=1", r"SET='resources.limits.nvidia\.com/gpu=1'"),
        ("config.files.run.sh=a", r"SET='config.files.run\.sh=a'"),
        ("labels.app.kubernetes.io/name=a", r"SET='labels.app\.kubernetes\.io/name=a'"),
        ("sidecars.s.resources.limits.nvidia.com/gpu=1", r"limits.nvidia\.com/gpu=1'"),
    ],
)
def test_set_shows_how_to_write_a_key_with_dots(assignment: str, shown: str) -> None:
    with pytest.raises(UsageError) as error:
        build_overrides(assignment)
    assert shown in str(error.value)
