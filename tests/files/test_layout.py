"""Files that are models, profiles and overlays, and names that are refused."""

from pathlib import Path

import pytest

from framework.core.diagnostics import Code
from framework.files import environment_names, find_catalog, find_environment


def _touch(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")


def test_files_are_found_sorted_by_name(tmp_path: Path) -> None:
    _touch(tmp_path, "catalog/b.yaml", "catalog/a.yaml", "catalog/.draft.yaml", "catalog/README.md")
    _touch(tmp_path, "catalog/_defaults.yaml", "catalog/_profiles/gpu.yaml")
    found = find_catalog(tmp_path)
    assert list(found.models.items()) == [("a", "catalog/a.yaml"), ("b", "catalog/b.yaml")]
    assert found.defaults == "catalog/_defaults.yaml"
    assert found.profiles == {"gpu": "catalog/_profiles/gpu.yaml"}
    assert found.diagnostics == ()


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("catalog/a.yml", "rename it to a.yaml"),
        ("catalog/_defaults.yml", "rename it to _defaults.yaml"),
        ("catalog/_profiles/p.yml", "rename it to p.yaml"),
        ("catalog/Big.yaml", '"Big" is not a valid name for a model'),
        ("catalog/a_b.yaml", "lower-case letters, digits and '-'"),
        ("catalog/a-.yaml", '"a-" is not a valid name for a model'),
        ("catalog/llama-3.1-8b.yaml", "at most 40 characters; rename it to llama-3-1-8b"),
        ("catalog/Qwen_2.yaml", "rename it to qwen-2"),
        ("catalog/1a.yaml", '"1a" is not a valid name for a model'),
        ("catalog/a-canary.yaml", '"-canary" is for canary tracks'),
        (f"catalog/{'a' * 41}.yaml", "at most 40 characters"),
        ("catalog/_profiles/P.yaml", '"P" is not a valid name for a profile'),
    ],
)
def test_invalid_name_is_reported_at_the_file(tmp_path: Path, path: str, message: str) -> None:
    _touch(tmp_path, path)
    diagnostics = find_catalog(tmp_path).diagnostics
    assert [
        (diagnostic.path, diagnostic.line, diagnostic.column) for diagnostic in diagnostics
    ] == [(path, 0, 0)]
    assert message in diagnostics[0].message


@pytest.mark.parametrize(
    ("names", "proposals"),
    [
        (["llama-3.1", "llama-3-1"], ["llama-3-1-2 (llama-3-1 exists already)"]),
        (["a.b", "a-b", "a-b-2"], ["a-b-3 (a-b exists already)"]),
        (["a.b", "a_b"], ["a-b", "a-b-2 (a-b exists already)"]),
        (["a.b"], ["a-b"]),
    ],
)
def test_the_proposed_name_is_free(tmp_path: Path, names: list[str], proposals: list[str]) -> None:
    _touch(tmp_path, *(f"catalog/{name}.yaml" for name in names))
    messages = [diagnostic.message for diagnostic in find_catalog(tmp_path).diagnostics]
    assert [message.partition("rename it to ")[2] for message in messages] == proposals


def test_folder_with_models_is_reported(tmp_path: Path) -> None:
    _touch(tmp_path, "catalog/team/a.yaml")
    assert "models are directly in catalog/" in find_catalog(tmp_path).diagnostics[0].message


def test_environments_are_the_folders(tmp_path: Path) -> None:
    _touch(tmp_path, "environments/prod/environment.yaml", "environments/prod/models/a.yaml")
    _touch(tmp_path, "environments/Pulumi.dev.yaml", "environments/dev/.x")
    assert environment_names(tmp_path) == ("dev", "prod")
    found = find_environment(tmp_path, "prod")
    assert found.overlays == {"a": "environments/prod/models/a.yaml"}
    assert found.diagnostics == ()


def test_environment_without_its_file_is_an_error(tmp_path: Path) -> None:
    _touch(tmp_path, "environments/dev/models/a.yml")
    diagnostics = find_environment(tmp_path, "dev").diagnostics
    assert {diagnostic.path for diagnostic in diagnostics} == {
        "environments/dev/models/a.yml",
        "environments/dev/environment.yaml",
    }


def test_broken_link_and_folder_are_reported(tmp_path: Path) -> None:
    (tmp_path / "catalog/folder.yaml").mkdir(parents=True)
    (tmp_path / "catalog/link.yaml").symlink_to("nowhere")
    diagnostics = find_catalog(tmp_path).diagnostics
    assert [(diagnostic.path, diagnostic.code) for diagnostic in diagnostics] == [
        ("catalog/folder.yaml", Code.FILE_NAME),
        ("catalog/link.yaml", Code.UNREADABLE),
    ]


UNREAD = {
    "catalog/churn.YAML": "rename it to churn.yaml",
    "catalog/churn.Yml": "rename it to churn.yaml",
    "catalog/_default.yaml": "rename it to _defaults.yaml",
    "catalog/_Defaults.yml": "rename it to _defaults.yaml",
    "catalog/_template.yaml": "begins with _",
    "catalog/_profile/gpu.yaml": "rename it to _profiles",
    "catalog/profiles/gpu.yaml": "rename it to _profiles",
    "catalog/models/churn.yaml": "directly in catalog/",
    "catalog/team/README.md": "directly in catalog/",
    "catalog/churn.yaml~": "is a backup",
    "catalog/churn.yaml.orig": "is a backup",
    "catalog/churn.json": "is not read",
    "catalog/Pulumi.dev.yaml": "environments/Pulumi.<stack>.yaml",
    "catalog/_profiles/gpu.YAML": "rename it to gpu.yaml",
    "catalog/_profiles/_base.yaml": "begins with _",
    "catalog/_profiles/gpu/l4.yaml": "directly in catalog/_profiles/",
    "environments/dev.yaml": "an environment is a folder",
    "environments/_base/environment.yaml": "an environment is a folder",
    "environments/Pulumi.dev.yml": "environments/Pulumi.<stack>.yaml",
    "environments/notes.txt": "is not read",
    "environments/prod/environment.yml": "rename it to environment.yaml",
    "environments/prod/Environment.yaml": "rename it to environment.yaml",
    "environments/prod/enviroment.yaml": "rename it to environment.yaml",
    "environments/prod/model/churn.yaml": "rename it to models",
    "environments/prod/Models/churn.yaml": "rename it to models",
    "environments/prod/overlays/churn.yaml": "models/<model>.yaml",
    "environments/prod/churn.yaml": "models/<model>.yaml",
    "environments/prod/stacks/eu.yaml": "not supported yet",
    "environments/prod/Pulumi.prod.yaml": "environments/Pulumi.<stack>.yaml",
    "environments/prod/models/churn.YAML": "rename it to churn.yaml",
    "environments/prod/models/_churn.yaml": "begins with _",
    "environments/prod/models/team/churn.yaml": "directly in models/",
    "environments/prod/models/churn.yaml.bak": "is a backup",
}


@pytest.mark.parametrize("path", UNREAD)
def test_file_that_is_not_read_is_an_error(tmp_path: Path, path: str) -> None:
    _touch(tmp_path, "catalog/a.yaml", path)
    if not path.startswith("environments/prod/") or "nvironment.y" not in path:
        _touch(tmp_path, "environments/prod/environment.yaml")
    found = [*find_catalog(tmp_path).diagnostics, *find_environment(tmp_path, "prod").diagnostics]
    (diagnostic,) = found
    assert diagnostic.code == Code.FILE_NAME
    assert path.startswith(diagnostic.path)
    assert UNREAD[path] in diagnostic.message


@pytest.mark.parametrize(
    "path",
    [
        "catalog/README.md",
        "catalog/_profiles/README",
        "catalog/OWNERS",
        "catalog/.churn.yaml.swp",
        "catalog/.old/churn.yaml",
        "environments/README.md",
        "environments/Pulumi.prod.yaml",
        "environments/prod/README.md",
        "environments/prod/.notes",
        "environments/prod/models/.gitkeep",
    ],
)
def test_hidden_files_and_documents_are_no_errors(tmp_path: Path, path: str) -> None:
    _touch(tmp_path, "catalog/a.yaml", "environments/prod/environment.yaml", path)
    assert find_catalog(tmp_path).diagnostics == ()
    assert find_environment(tmp_path, "prod").diagnostics == ()
    assert find_environment(tmp_path, "prod").overlays == {}


def test_folder_that_cannot_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    _touch(tmp_path, "catalog/a.yaml", "environments/prod/environment.yaml")
    monkeypatch.setattr("framework.files.unread.os.scandir", refuse)
    messages = {diagnostic.message for diagnostic in find_catalog(tmp_path).diagnostics}
    assert messages == {"cannot be read: Permission denied; allow reading it"}
