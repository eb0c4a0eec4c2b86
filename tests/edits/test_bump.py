"""`bump`: the file that gets the tag, the environments that change, and the edits it refuses."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from framework.catalog import load_catalog
from framework.cli.edit import run_bump
from framework.core.errors import (
    ConfigError,
    EditError,
    FrameworkError,
    UnknownNameError,
    UsageError,
)
from framework.core.stack import Stack
from framework.edits.bump import bump_tag
from framework.edits.transaction import InvalidEditError
from tests.edits.conftest import Snapshot, Write

_B = "owner: team-b\nprofiles: [server]\n"


def run(
    root: Path, model: str | None, tag: str | None, environment: str | None = None, **more: bool
) -> int:
    options = argparse.Namespace(model=model, tag=tag, environment=environment, json=False)
    vars(options).update(more)
    return run_bump(root, options)


def tags(root: Path, environment: str) -> dict[str, str | None]:
    return {m.name: m.settings.image.tag for m in load_catalog(root, Stack.of(environment)).models}


def test_tag_of_the_model_is_replaced_in_its_file(write: Write) -> None:
    root = write()
    (bump,) = bump_tag(root, ["b"], "1.10")
    assert (root / bump.file).read_text() == _B + "image:\n  tag: '1.10'   # c\n"
    assert [(e.environment, e.before, e.after) for e in bump.environments] == [
        ("prod", "1.8", "1.8")
    ]
    assert bump.environments[0].set_at == "environments/prod/models/b.yaml:1:14"
    assert bump.inherited_from is None


def test_tag_inherited_from_a_profile_is_added_below_the_profiles(write: Write) -> None:
    root = write()
    (bump,) = bump_tag(root, ["a"], "012")
    assert (root / bump.file).read_text() == (
        'owner: team-a\nprofiles: [server]\nimage:\n  tag: "012"\nlabels: {tier: one}  # c\n'
    )
    assert bump.inherited_from == "catalog/_profiles/server.yaml:2:36"
    assert [(e.environment, e.before, e.after) for e in bump.environments] == [
        ("dev", "v1", "012"), ("prod", "v1", "012"),
    ]  # fmt: skip


def test_bump_of_one_environment_creates_an_overlay(write: Write) -> None:
    root = write()
    (bump,) = bump_tag(root, ["a"], "v2", "prod")
    assert bump.file == "environments/prod/models/a.yaml"
    assert (root / bump.file).read_text() == (
        "# Settings of a in prod only, laid over catalog/a.yaml.\nimage:\n  tag: v2\n"
    )
    assert (tags(root, "prod")["a"], tags(root, "dev")["a"]) == ("v2", "v1")


def test_bump_of_one_environment_edits_an_existing_overlay(write: Write) -> None:
    root = write()
    bump_tag(root, ["b"], "v2", "prod")
    assert (root / "environments/prod/models/b.yaml").read_text() == "image: {tag: 'v2'}\n"


@pytest.mark.parametrize(
    ("name", "tag", "environment", "position"),
    [
        pytest.param("b", "1.9", None, "catalog/b.yaml", id="its own"),
        pytest.param("a", "v1", None, "catalog/_profiles/server.yaml", id="of a profile"),
        pytest.param("a", "v1", "prod", "catalog/_profiles/server.yaml", id="of one environment"),
        pytest.param("b", "1.8", "prod", "environments/prod/models/b.yaml", id="of an overlay"),
    ],
)
def test_bump_to_the_current_tag_writes_nothing(
    name: str, tag: str, environment: str | None, position: str, write: Write, snapshot: Snapshot,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    root = write()
    before = snapshot(root)
    assert run(root, name, tag, environment) == 0
    assert f"{position}  the tag of {name} is {tag} already" in (output := capsys.readouterr().out)
    assert "Nothing to change." in output
    assert snapshot(root) == before


_DIGEST = "sha256:" + "0" * 64
_REFUSED = [
    ("digest of its own", {"catalog/b.yaml": _B + f"image: {{digest: '{_DIGEST}'}}\n",
     "environments/prod/models/b.yaml": "replicas: 1\n"}, None,
     "catalog/b.yaml:3:17: b runs this image.digest in prod"),
    ("digest of a profile", {"catalog/_profiles/server.yaml":
     f"image: {{repository: r, digest: '{_DIGEST}'}}\n"}, None, "catalog/_profiles/server.yaml:1:"),
    ("digest of an overlay", {"environments/prod/models/b.yaml":
     f"image: {{digest: '{_DIGEST}'}}\n"}, "prod", "environments/prod/models/b.yaml:1:17: b runs"),
    ("interpolation", {"catalog/b.yaml": _B + "image: {tag: 'v-${name}'}\n"}, None,
     "catalog/b.yaml:3:14: the tag of b is the interpolation v-${name}"),
    ("interpolation of a profile", {"catalog/_profiles/server.yaml":
     "image: {repository: r, tag: '${owner}'}\n", "catalog/b.yaml": _B}, None,
     "catalog/_profiles/server.yaml:1:29: the tag of "),
    ("interpolation in overlay", {"environments/prod/models/b.yaml": "image: {tag: '${name}'}\n"},
     "prod", "environments/prod/models/b.yaml:1:14: the tag of b is"),
    ("alias", {"catalog/b.yaml": _B + "image: {tag: &t x}\nlabels: {t: *t}\n"}, None,
     "catalog/b.yaml:3:14: image.tag is shared by the alias at catalog/b.yaml:4:13"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "environment", "message"), [c[1:] for c in _REFUSED], ids=[c[0] for c in _REFUSED]
)
def test_bump_that_cannot_change_what_runs_is_refused_for_all_models(
    changes: dict[str, str], environment: str | None, message: str, write: Write, snapshot: Snapshot
) -> None:
    root = write(changes)
    before = snapshot(root)
    with pytest.raises(EditError) as caught:
        run(root, "*", "v2", environment)
    assert message in str(caught.value)
    assert snapshot(root) == before


def test_digest_in_one_environment_does_not_block_a_bump_of_another(write: Write) -> None:
    digest = f"enabled: true\nimage: {{digest: '{_DIGEST}'}}\n"
    root = write({"environments/prod/models/a.yaml": digest})
    bump_tag(root, ["a"], "v2", "dev")
    assert tags(root, "dev")["a"] == "v2"


def test_edit_that_would_make_the_catalog_invalid_is_undone(
    write: Write, snapshot: Snapshot
) -> None:
    # A tag may begin with "_", an owner may not.
    overrides = "namespace: n\noverrides: {owner: '${image.tag}'}\n"
    root = write({"environments/prod/environment.yaml": overrides})
    before = snapshot(root)
    with pytest.raises(InvalidEditError, match=r"Nothing was changed(.|\n)*owner is"):
        bump_tag(root, ["a"], "_x_")
    assert snapshot(root) == before


def test_catalog_with_errors_is_not_edited(write: Write, snapshot: Snapshot) -> None:
    root = write({"environments/prod/models/a.yaml": "replicas: two\n"})
    before = snapshot(root)
    with pytest.raises(ConfigError, match="replicas"):
        bump_tag(root, ["a", "b"], "v2")
    assert snapshot(root) == before


@pytest.mark.parametrize(
    ("model", "changed"),
    [("*", ["a", "b"]), ("[a]", ["a"]), ("tier=one", ["a"]), ("owner=team-b", ["b"])],
)
def test_pattern_edits_every_matching_model(model: str, changed: list[str], write: Write) -> None:
    root = write()
    assert run(root, model, "v7") == 0
    files = {name: (root / f"catalog/{name}.yaml").read_text() for name in "ab"}
    assert [name for name, text in files.items() if "v7" in text] == changed


@pytest.mark.parametrize(
    ("model", "tag", "environment", "error", "message"),
    [
        pytest.param(None, None, None, UsageError, "needs MODEL, TAG", id="no argument"),
        pytest.param("a", None, None, UsageError, "make bump MODEL=a TAG=tag", id="no tag"),
        pytest.param("aa", "v2", None, UnknownNameError, 'no model is called "aa"', id="model"),
        pytest.param("x=y", "v2", None, UnknownNameError, "no label", id="label"),
        pytest.param("a", "v2", "prd", UnknownNameError, "did you mean prod", id="environment"),
        pytest.param("b", "v2", "dev", UsageError, '"b" does not run in dev', id="disabled"),
        pytest.param("a", "v 2", None, UsageError, "not a valid image tag", id="space"),
        pytest.param("a", ".v2", None, UsageError, "not a valid image tag", id="dot"),
        pytest.param("a", "v2\n", None, UsageError, "not a valid image tag", id="line break"),
        pytest.param("a", "${name}", None, UsageError, "not a valid image tag", id="interpolation"),
        pytest.param("a", "x" * 129, None, UsageError, "not a valid image tag", id="too long"),
    ],
)
def test_wrong_usage_is_refused(
    model: str | None, tag: str | None, environment: str | None, error: type[FrameworkError],
    message: str, write: Write,
) -> None:  # fmt: skip
    with pytest.raises(error, match=message):
        run(write(), model, tag, environment)


def test_text_names_changed_and_unchanged_environments_and_the_next_step(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    run(write(), "*", "v2")
    assert capsys.readouterr().out == (
        "catalog/a.yaml  image.tag is v2\n"
        "  added here; until now it came from catalog/_profiles/server.yaml:2:36\n"
        "  dev   v1 -> v2\n"
        "  prod  v1 -> v2\n"
        "catalog/b.yaml  image.tag is v2\n"
        "  prod  stays 1.8  set at environments/prod/models/b.yaml:1:14\n"
        "\n"
        "next: make preview ENV=dev MODEL='*'\n"
        "      make preview ENV=prod MODEL='*'\n"
    )


def test_json_has_the_same_content(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    run(write(), "b", "v2", json=True)
    assert json.loads(capsys.readouterr().out) == {
        "tag": "v2",
        "models": [{
            "model": "b", "file": "catalog/b.yaml", "changed": True, "inheritedFrom": None,
            "environments": [{
                "environment": "prod", "before": "1.8", "after": "1.8", "changed": False,
                "setAt": "environments/prod/models/b.yaml:1:14",
            }],
        }],
    }  # fmt: skip
