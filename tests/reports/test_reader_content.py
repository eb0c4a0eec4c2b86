"""`affected` and `diff SINCE` compare what the reader reads, whatever Git lists."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from framework.core.errors import FrameworkError
from framework.core.git import GitError
from framework.reports.commit_files import SubmoduleError
from framework.reports.compare import compare_environments, compare_since
from framework.reports.comparison import CommitComparison
from framework.reports.revisions import UnknownRefError, resolve_revision
from framework.reports.sides import load_side
from tests.reports.repository import FILES, Repository

_ALPHA = "environments/prod/models/alpha.yaml"
_SMALL = "catalog/_profiles/small.yaml"
# Replicas that no layer has, so that every edit of an overlay is a change.
_EDITED = "replicas: 12\n"


def _find_pairs(since: CommitComparison) -> set[tuple[str, str]]:
    return {(e.environment, model.name) for e in since.affected for model in e.affected}


def _find_affected(root: Path) -> set[tuple[str, str]]:
    """Returns the affected models, which must be the same with and without their causes."""
    pairs = _find_pairs(compare_since(root, "main", None, why=False))
    assert _find_pairs(compare_since(root, "main", None)) == pairs
    return pairs


def _replace_by_link(repository: Repository, path: str, target: str, moved: str) -> None:
    """Moves a file or folder, and puts a link to it in its place."""
    link, home = repository.root / path, repository.root / moved
    home.parent.mkdir(parents=True, exist_ok=True)
    link.rename(home)
    link.symlink_to(target)


def _commit_as_main(repository: Repository) -> None:
    repository.commit()
    repository.git("branch", "--force", "main")


_BOTH = {("dev", "alpha"), ("prod", "alpha")}
_LINKS = [
    pytest.param(_ALPHA, "../../../shared/alpha.yaml", "shared/alpha.yaml",
                 "shared/alpha.yaml", _EDITED, {("prod", "alpha")}, id="file"),
    pytest.param("environments/prod/models", "../../shared", "shared",
                 "shared/alpha.yaml", _EDITED, {("prod", "alpha")}, id="folder"),
    pytest.param("environments/prod", "../platform/live", "platform/live",
                 "platform/live/models/alpha.yaml", _EDITED, {("prod", "alpha")},
                 id="environment"),
    pytest.param("catalog/_profiles", "../shared/profiles", "shared/profiles",
                 "shared/profiles/small.yaml", "image: {repository: r/tiny}\n", _BOTH,
                 id="profiles"),
    pytest.param("catalog", "shared/models/", "shared/models",
                 "shared/models/alpha.yaml", (FILES["catalog/alpha.yaml"] or "") + _EDITED,
                 {("dev", "alpha")}, id="catalog"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "target", "moved", "edited", "text", "expected"), _LINKS)
def test_edit_behind_a_link_changes_what_reads_it(
    path: str, target: str, moved: str, edited: str, text: str,
    expected: set[tuple[str, str]], repository: Repository,
) -> None:  # fmt: skip
    _replace_by_link(repository, path, target, moved)
    _commit_as_main(repository)
    assert _find_affected(repository.root) == set()
    repository.write({edited: text})
    assert _find_affected(repository.root) == expected
    repository.commit()
    assert _find_affected(repository.root) == expected


def test_overlay_that_is_a_link_to_another_environments_follows_its_edits(
    repository: Repository,
) -> None:
    repository.write({"environments/dev/models/alpha.yaml": "replicas: 4\n", _ALPHA: None})
    link = repository.root / _ALPHA
    link.parent.mkdir(exist_ok=True)
    link.symlink_to("../../dev/models/alpha.yaml")
    _commit_as_main(repository)
    repository.write({"environments/dev/models/alpha.yaml": _EDITED})
    assert _find_affected(repository.root) == _BOTH
    causes = compare_since(repository.root, "main", "prod").environments[0].models[0].causes
    assert [cause.position for cause in causes] == [f"{_ALPHA}:1:11"]


@pytest.mark.parametrize("first", ["absolute", "relative"])
def test_chain_of_links_is_followed(first: str, repository: Repository) -> None:
    _replace_by_link(repository, _ALPHA, "../../../one.yaml", "shared/alpha.yaml")
    one = repository.root / "one.yaml"
    one.symlink_to(repository.root.resolve() / "two.yaml" if first == "absolute" else "two.yaml")
    (repository.root / "two.yaml").symlink_to("./shared/../shared/alpha.yaml")
    _commit_as_main(repository)
    repository.write({"shared/alpha.yaml": _EDITED})
    assert _find_affected(repository.root) == {("prod", "alpha")}


def test_link_that_leads_elsewhere_now_is_a_change(repository: Repository) -> None:
    _replace_by_link(repository, _ALPHA, "../../../four.yaml", "four.yaml")
    repository.write({"twelve.yaml": _EDITED})
    _commit_as_main(repository)
    (repository.root / _ALPHA).unlink()
    (repository.root / _ALPHA).symlink_to("../../../twelve.yaml")
    assert _find_affected(repository.root) == {("prod", "alpha")}


def test_file_that_became_a_link_to_the_same_text_is_no_change(repository: Repository) -> None:
    _replace_by_link(repository, _ALPHA, "../../../four.yaml", "four.yaml")
    assert _find_affected(repository.root) == set()


def test_links_in_a_circle_end(repository: Repository) -> None:
    (repository.root / "environments/prod/models/again").symlink_to("..")
    (repository.root / "catalog/loop").symlink_to("loop")
    _commit_as_main(repository)
    repository.write({_ALPHA: _EDITED})
    assert resolve_revision(repository.root, "main").load_changes() >= {_ALPHA}


@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_link_that_leaves_the_repository_is_named(
    kind: str, repository: Repository, tmp_path: Path
) -> None:
    outside = repository.root.parent / "outside.yaml"
    outside.write_text("replicas: 4\n")
    target = str(outside) if kind == "absolute" else "../../../../outside.yaml"
    repository.write({_ALPHA: None})
    (repository.root / "environments/prod/models").mkdir(exist_ok=True)
    (repository.root / _ALPHA).symlink_to(target)
    _commit_as_main(repository)
    repository.write({"catalog/alpha.yaml": (FILES["catalog/alpha.yaml"] or "") + "args: [a]\n"})
    since = compare_since(repository.root, "main", None)
    assert _find_pairs(since) == _BOTH
    assert since.notes == (
        f"{_ALPHA} is a link that leaves the repository, and main does not have what it leads "
        "to: both sides read it as it is now",
    )
    # The replicas are 4 on both sides: the commit's copy reads the file as well.
    paths = {f.path for e in since.affected for m in e.affected for o in m.objects
             for f in o.fields}  # fmt: skip
    assert paths == {"spec.template.spec.containers[model].args"}


@pytest.mark.parametrize("bit", ["--skip-worktree", "--assume-unchanged"])
def test_file_that_the_index_ignores_is_read(bit: str, repository: Repository) -> None:
    repository.git("update-index", bit, _ALPHA)
    repository.write({_ALPHA: _EDITED})
    assert _find_affected(repository.root) == {("prod", "alpha")}


def test_ignored_and_untracked_files_are_read(repository: Repository) -> None:
    repository.write({".gitignore": "environments/dev/models/\n"})
    _commit_as_main(repository)
    repository.write({"environments/dev/models/alpha.yaml": _EDITED})
    repository.write({"environments/prod/models/beta.yaml": _EDITED})
    assert _find_affected(repository.root) == {("dev", "alpha"), ("prod", "beta")}


def test_hidden_files_are_not_read(repository: Repository) -> None:
    repository.write({"catalog/.old/alpha.yaml": "x: 1\n", "catalog/.alpha.yaml.swp": "x"})
    assert resolve_revision(repository.root, "main").load_changes() == frozenset()


def test_renamed_model_is_a_removed_and_a_new_one(repository: Repository) -> None:
    repository.git("mv", "catalog/beta.yaml", "catalog/gamma.yaml")
    expected = {(env, model) for env in ("dev", "prod") for model in ("beta", "gamma")}
    assert _find_affected(repository.root) == expected
    repository.commit()
    assert _find_affected(repository.root) == expected


def test_sparse_checkout_is_named(repository: Repository) -> None:
    repository.git("sparse-checkout", "set", "--no-cone", "/*", "!/environments/prod/models/")
    assert not (repository.root / _ALPHA).exists()
    since = compare_since(repository.root, "main", None)
    assert _find_pairs(since) == {("prod", "alpha")}
    [note] = since.notes
    assert note.startswith(f"this is a sparse checkout without 1 files of main, such as {_ALPHA};")


def test_edit_in_a_sparse_checkout_is_found(repository: Repository) -> None:
    repository.git("sparse-checkout", "set", "--no-cone", "/*", "!/docs/")
    repository.write({_ALPHA: _EDITED})
    assert _find_affected(repository.root) == {("prod", "alpha")}


# Submodules


@pytest.fixture
def with_submodule(tmp_path: Path) -> Repository:
    """Returns a repository whose `catalog` is a submodule."""
    catalog = {p.removeprefix("catalog/"): t for p, t in FILES.items() if p.startswith("catalog/")}
    inner = Repository(tmp_path / "models", catalog)
    outer = Repository(
        tmp_path / "outer", {p: t for p, t in FILES.items() if not p.startswith("catalog/")}
    )
    outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add",
              str(inner.root), "catalog")  # fmt: skip
    _commit_as_main(outer)
    return outer


def _commit_in_submodule(repository: Repository) -> None:
    repository.git("-C", "catalog", "commit", "--quiet", "--all", "--message", "change")


@pytest.mark.parametrize("committed", ["no", "in the submodule", "in both"])
def test_edit_in_a_submodule_changes_one_model(committed: str, with_submodule: Repository) -> None:
    assert _find_affected(with_submodule.root) == set()
    text = (FILES["catalog/alpha.yaml"] or "") + "args: [a]\n"
    with_submodule.write({"catalog/alpha.yaml": text})
    if committed != "no":
        _commit_in_submodule(with_submodule)
    if committed == "in both":
        with_submodule.commit()
    assert _find_affected(with_submodule.root) == _BOTH


def test_catalog_that_is_a_link_into_a_submodule_is_read(with_submodule: Repository) -> None:
    with_submodule.git("mv", "catalog", "vendored")
    (with_submodule.root / "catalog").symlink_to("vendored")
    _commit_as_main(with_submodule)
    assert _find_affected(with_submodule.root) == set()
    path = with_submodule.root / "vendored/alpha.yaml"
    path.write_text(path.read_text() + "args: [a]\n")
    assert _find_affected(with_submodule.root) == _BOTH


def test_submodule_that_is_not_checked_out_is_refused(with_submodule: Repository) -> None:
    with_submodule.git("submodule", "--quiet", "deinit", "--force", "catalog")
    message = "catalog is a submodule, and it is not checked out; run `git submodule update --init"
    with pytest.raises(SubmoduleError, match=message):
        compare_since(with_submodule.root, "main", None)


def test_clone_without_its_submodule_is_refused(with_submodule: Repository, tmp_path: Path) -> None:
    with_submodule.git("clone", "--quiet", str(with_submodule.root), str(tmp_path / "clone"))
    with pytest.raises(SubmoduleError, match="catalog is a submodule, and it is not in this clone"):
        compare_since(tmp_path / "clone", "HEAD", None)


def test_commit_that_a_submodule_lacks_is_named(with_submodule: Repository) -> None:
    shutil.rmtree(with_submodule.root / "catalog")
    inner = Repository(with_submodule.root / "catalog", {"alpha.yaml": "owner: x\n"})
    assert inner.git("rev-parse", "HEAD")
    with pytest.raises(FrameworkError, match=r"its commit [0-9a-f]{7} is not in this clone; run "):
        compare_since(with_submodule.root, "main", None)


def test_folder_that_replaces_a_submodule_is_compared_with_its_commit(
    with_submodule: Repository,
) -> None:
    root = with_submodule.root
    shutil.copytree(root / "catalog", root / "kept", ignore=shutil.ignore_patterns(".git"))
    with_submodule.git("rm", "--quiet", "--force", "catalog")
    (root / "kept").rename(root / "catalog")
    with_submodule.commit()
    assert _find_affected(root) == set()
    with_submodule.write({"catalog/alpha.yaml": (FILES["catalog/alpha.yaml"] or "") + "args: [a]"})
    assert _find_affected(root) == _BOTH


# Where the repository is, and how it writes files


def test_link_out_of_a_project_in_a_folder_of_its_repository_is_followed(tmp_path: Path) -> None:
    outer = Repository(tmp_path / "outer", {f"ml/{path}": text for path, text in FILES.items()})
    _replace_by_link(outer, f"ml/{_SMALL}", "../../../shared/small.yaml", "shared/small.yaml")
    _commit_as_main(outer)
    outer.write({"shared/small.yaml": "image: {repository: r/tiny}\n"})
    since = compare_since(outer.root / "ml", "main", None)
    assert (_find_pairs(since), since.notes) == (_BOTH, ())


def test_worktree_is_compared(repository: Repository, tmp_path: Path) -> None:
    repository.git("worktree", "add", "--quiet", "-b", "other", str(tmp_path / "tree"))
    (tmp_path / "tree" / _ALPHA).write_text(_EDITED)
    assert _find_affected(tmp_path / "tree") == {("prod", "alpha")}


def test_bare_repository_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.git("clone", "--quiet", "--bare", str(repository.root), str(tmp_path / "bare"))
    with pytest.raises(GitError, match="a bare repository has no files"):
        compare_since(tmp_path / "bare", "main", None)


def test_branch_that_only_the_remote_has_is_suggested(
    repository: Repository, tmp_path: Path
) -> None:
    repository.git("clone", "--quiet", str(repository.root), str(tmp_path / "clone"))
    with pytest.raises(UnknownRefError, match="use SINCE=origin/main"):
        compare_since(tmp_path / "clone", "main", None)


@pytest.mark.parametrize("setting", ["core.autocrlf=true", "an attribute", "the files alone"])
def test_line_endings_are_no_change(setting: str, repository: Repository) -> None:
    if setting == "core.autocrlf=true":
        repository.git("config", "core.autocrlf", "true")
    elif setting == "an attribute":
        repository.write({".gitattributes": "*.yaml text eol=crlf\n"})
    for path in FILES:
        file = repository.root / path
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert resolve_revision(repository.root, "main").load_changes() == frozenset()
    repository.write({_ALPHA: _EDITED})
    assert _find_affected(repository.root) == {("prod", "alpha")}


def test_filter_of_an_attribute_is_applied_to_the_commit(repository: Repository) -> None:
    # The commit holds the text in capitals, as a filter such as git-crypt holds it encrypted.
    repository.git("config", "filter.caps.clean", "tr a-z A-Z")
    repository.git("config", "filter.caps.smudge", "tr A-Z a-z")
    repository.write({".gitattributes": f"{_ALPHA} filter=caps\n", _ALPHA: "replicas: 4\n"})
    _commit_as_main(repository)
    assert "REPLICAS" in repository.git("show", f"main:{_ALPHA}")
    assert _find_affected(repository.root) == set()
    repository.write({_ALPHA: _EDITED})
    assert _find_affected(repository.root) == {("prod", "alpha")}


_POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12\n"


@pytest.mark.parametrize("side", ["old", "new"])
def test_pointer_of_git_lfs_is_named(side: str, repository: Repository) -> None:
    if side == "old":
        repository.write({_ALPHA: _POINTER})
        _commit_as_main(repository)
        repository.write({_ALPHA: "replicas: 4\n"})
    else:
        repository.write({_ALPHA: _POINTER})
    since = compare_since(repository.root, "main", "prod")
    [environment] = since.environments
    assert environment.not_compared == ("alpha",)
    [diagnostic] = environment.diagnostics
    assert diagnostic.path == (f"main:{_ALPHA}" if side == "old" else _ALPHA)
    assert "a pointer of Git LFS" in diagnostic.message


# Quantities


def _write_resources(repository: Repository, path: str, cpu: str, memory: str) -> None:
    text = f"resources: {{requests: {{cpu: {cpu}, memory: {memory}}}}}\n"
    repository.write({path: text})


@pytest.mark.parametrize(("cpu", "memory"), [("'0.5'", "1024Mi"), ("500m", "1048576Ki")])
def test_equal_quantities_are_no_change(cpu: str, memory: str, repository: Repository) -> None:
    _write_resources(repository, _ALPHA, "500m", "1Gi")
    _commit_as_main(repository)
    _write_resources(repository, _ALPHA, cpu, memory)
    since = compare_since(repository.root, "main", "prod")
    assert not since.environments[0].has_differences
    _write_resources(repository, _ALPHA, cpu, "2Gi")
    since = compare_since(repository.root, "main", "prod")
    [model] = since.environments[0].models
    [setting] = model.settings
    assert (setting.path, setting.old, setting.new) == ("resources.requests.memory", "1Gi", "2Gi")
    [obj] = model.objects
    assert [field.path.rpartition(".")[2] for field in obj.fields] == ["memory"]


def test_equal_quantities_of_two_environments_are_no_difference(repository: Repository) -> None:
    resources = "resources: {requests: {cpu: %s}}\n"
    for environment, cpu in (("dev", "1"), ("prod", "1000m")):
        path = f"environments/{environment}/environment.yaml"
        repository.write({path: f"namespace: n\noverrides:\n  {resources % cpu}"})
    repository.write({_ALPHA: None})
    sides = [load_side(repository.root, name) for name in ("dev", "prod")]
    assert compare_environments(*sides).models == ()
    texts = [json.dumps(side.manifests["alpha"]) for side in sides]
    assert '"cpu": "1"' in texts[0]
    assert '"cpu": "1000m"' in texts[1]
