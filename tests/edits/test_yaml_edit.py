"""An edit of a YAML file changes one value and leaves every other byte as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.core.errors import ConfigError, EditError
from framework.edits.transaction import apply_changes
from framework.edits.yaml_edit import REMOVED, Edit, build_change
from framework.files.document import load_document

TAG = ("image", "tag")


def edit(root: Path, text: str, *edits: Edit) -> str:
    (root / "f.yaml").write_bytes(text.encode())
    return build_change(root, "f.yaml", edits).new.decode()


_SET = [
    ("block", "image:\n  tag: v1\nx: 1\n", "image:\n  tag: v2\nx: 1\n"),
    ("comment keeps its column", "image:\n  tag: v10    # c\n", "image:\n  tag: v2     # c\n"),
    ("flow", "image: { x: 1,  tag: v1 }  # c\n", "image: { x: 1,  tag: v2 }  # c\n"),
    ("flow over lines", "image: {\n  x: 1, # c\n  tag: v1}\n",
     "image: {\n  x: 1, # c\n  tag: v2}\n"),
    ("new in flow", "image: {x: 1}\n", "image: {x: 1, tag: v2}\n"),
    ("new in empty flow", "image: {}  # c\n", "image: {tag: v2}  # c\n"),
    ("new in block", "image:\n    x: 1 # c\n\n# d\ny: 1\n",
     "image:\n    x: 1 # c\n    tag: v2\n\n# d\ny: 1\n"),
    ("new at top", "a:\n    b: 1\n", "a:\n    b: 1\nimage:\n    tag: v2\n"),
    ("empty value", "image:   # c\nx: 1\n", "image: {tag: v2}  # c\nx: 1\n"),
    ("null value", "image: null\n", "image: {tag: v2}\n"),
    ("double quotes stay", 'image: {tag: "v1"}\n', 'image: {tag: "v2"}\n'),
    ("single quotes stay", "image: {tag: 'v1'}\n", "image: {tag: 'v2'}\n"),
    ("block scalar", "image:\n  tag: |  # c\n    v1\n\nx: 1\n", "image:\n  tag: v2  # c\n\nx: 1\n"),
    ("below a block scalar", "image:\n  a: |+\n    x\n\ny: 1\n",
     "image:\n  a: |+\n    x\n\n  tag: v2\ny: 1\n"),
    ("text over two lines", "image:\n  tag: v1\n    more\n", "image:\n  tag: v2\n"),
    ("a mapping is replaced", "image:\n  tag: # c\n    a: 1\nx: 1\n",
     "image:\n  tag: v2 # c\nx: 1\n"),
    ("anchor without an alias", "image: &i\n  tag: v1\n", "image: &i\n  tag: v2\n"),
    ("beside a merge key", "b: &b {tag: v1}\nimage:\n  <<: *b\n",
     "b: &b {tag: v1}\nimage:\n  <<: *b\n  tag: v2\n"),
    ("CRLF", "a: 1\r\nimage:\r\n  x: 1\r\n", "a: 1\r\nimage:\r\n  x: 1\r\n  tag: v2\r\n"),
    ("no final newline", "image:\n  x: 1", "image:\n  x: 1\n  tag: v2"),
    ("byte order mark", "\ufeffimage: {x: 1}\n", "\ufeffimage: {x: 1, tag: v2}\n"),
    ("empty file", "", "image:\n  tag: v2\n"),
    ("only comments", "# a\n\n# b", "# a\n\n# b\nimage:\n  tag: v2\n"),
    ("not ASCII", "é: ü # 漢🙂\nimage: {ß: '🙂', tag: v1} # ä\n",
     "é: ü # 漢🙂\nimage: {ß: '🙂', tag: v2} # ä\n"),
    ("document marks", "--- # c\nimage: {tag: v1}\n...\n", "--- # c\nimage: {tag: v2}\n...\n"),
    ("spelling of other values", "a: 1.10\nimage: {tag: v1}\n", "a: 1.10\nimage: {tag: v2}\n"),
    ("explicit keys", "? image\n: {tag: v1}\n", "? image\n: {tag: v2}\n"),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [c[1:] for c in _SET], ids=[c[0] for c in _SET])
def test_setting_a_value_changes_nothing_else(before: str, after: str, tmp_path: Path) -> None:
    assert edit(tmp_path, before, Edit(TAG, "v2")) == after
    assert edit(tmp_path, after, Edit(TAG, "v2")) == after


def test_a_new_key_goes_below_its_sibling(tmp_path: Path) -> None:
    text = "profiles: [a]  # c\nlabels:\n  a: b\n"
    expected = "profiles: [a]  # c\nimage:\n  tag: v2\nlabels:\n  a: b\n"
    assert edit(tmp_path, text, Edit(TAG, "v2", after="profiles")) == expected


_VALUES = [
    ("1.10", '"1.10"'), ("012", '"012"'), ("1e3", '"1e3"'), ("on", '"on"'), ("y", '"y"'),
    ("null", '"null"'), ("2024-01-01", '"2024-01-01"'), ("12:30", '"12:30"'), ("", '""'),
    ("a, b", '"a, b"'), ("a: b", '"a: b"'), ("a #b", '"a #b"'), ("a\nb", r'"a\nb"'),
    ("a\u2028b", r'"a\u2028b"'), ("x] }", '"x] }"'), ("*a", '"*a"'), ("1.7.0", "1.7.0"),
    (1, "1"), (True, "true"), (1.5, "1.5"), (1e-7, "0.0000001"), (None, "null"), ({}, "{}"),
    (["a", {"b": "1.0"}], '[a, {b: "1.0"}]'), ("x", "x"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "shown"), _VALUES, ids=[repr(value) for value, _ in _VALUES])
def test_value_that_would_be_read_as_another_type_is_quoted(
    value: object, shown: str, tmp_path: Path
) -> None:
    assert edit(tmp_path, "k: old # c\n", Edit(("k",), value)) == f"k: {shown} # c\n"


_REMOVED = [
    ("block", "a: 1 # c\n# d\nb: 2\n", ("a",), "# d\nb: 2\n"),
    ("nested block", "a:\n  b: 1\n  c: # x\n    d: 1 # y\n\nz: 1", ("a", "c"),
     "a:\n  b: 1\n\nz: 1"),
    ("last of a block", "a: # c\n  b: 1\nz: 1\n", ("a", "b"), "a: {} # c\nz: 1\n"),
    ("last of the file", "# c\na: 1\n", ("a",), "# c\n"),
    ("flow", "x: {a: 1, b: 2}\n", ("x", "a"), "x: {b: 2}\n"),
    ("end of flow", "x: {a: 1, b: 2}\n", ("x", "b"), "x: {a: 1}\n"),
    ("last of flow", "x: {a: 1} # c\n", ("x", "a"), "x: {} # c\n"),
    ("end of flow over lines", "x: {\n a: 1, # c\n b: 2}\n", ("x", "b"), "x: {\n a: 1 # c\n}\n"),
    ("item", "x:\n- a\n- b # c\n- d\n", ("x", 1), "x:\n- a\n- d\n"),
    ("item of flow", "x: [a, b]\n", ("x", 0), "x: [b]\n"),
    ("absent", "a: 1\n", ("x", "y"), "a: 1\n"),
    ("first of an item", "x:\n- a: 1 # c\n  b: 2\n", ("x", 0, "a"), "x:\n- b: 2\n"),
    ("first of an item, comment below", "x:\n- a: 1\n  # b\n  b: 2\n", ("x", 0, "a"),
     "x:\n- # b\n  b: 2\n"),
    ("first of a list in a list", "x:\n- - a\n  - b\n", ("x", 0, 0), "x:\n- - b\n"),
    ("block scalar", "x: 1\na: |+\n  t\n\nb: 2\n", ("a",), "x: 1\nb: 2\n"),
    ("CRLF", "a: 1\r\nb: 2\r\n", ("a",), "b: 2\r\n"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "path", "after"), [c[1:] for c in _REMOVED], ids=[c[0] for c in _REMOVED]
)
def test_removal_takes_the_entry_and_its_own_comment(
    before: str, path: tuple[str | int, ...], after: str, tmp_path: Path
) -> None:
    assert edit(tmp_path, before, Edit(path)) == after


_REFUSED = [
    ("in an alias", "b: &b {tag: v1}\nimage: *b\n", TAG, "v2", "f.yaml:2:8: image is an alias of"),
    ("an alias", "b: &b v1\nimage: {tag: *b}\n", TAG, "v2", "f.yaml:2:14: image.tag is an alias"),
    ("in an anchor", "image: &b {tag: v1}\nx: *b\n", TAG, "v2", "f.yaml:1:8: image is shared by"),
    ("merged elsewhere", "image: &b {tag: 1}\nx: {<<: *b}\n", TAG, "v2", "f.yaml:1:8: image is sh"),
    ("an anchor", "image: {tag: &t v1}\nx: *t\n", TAG, "v2", "f.yaml:1:14: image.tag is shared"),
    ("holds an anchor", "a: {b: &t v1}\nx: *t\n", ("a",), 1, "f.yaml:1:8: an alias at f.yaml:2:4"),
    ("through a merge key", "b: &b {image: {tag: v1}}\n<<: *b\n", TAG, "v2", "f.yaml:2:1: image"),
    ("removes what is merged", "b: &b {x: 1}\na: {<<: *b}\n", ("a", "x"),
     REMOVED, "f.yaml:2:5: a.x"),
    ("below a scalar", "image: v1\n", TAG, "v2", "f.yaml:1:8: image is a single value"),
    ("below a list", "image: [v1]\n", TAG, "v2", "f.yaml:1:8: image is a list"),
    ("no such item", "image: [v1]\n", ("image", 2), "v2", "f.yaml:1:8: image has no item 2"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "path", "value", "message"), [c[1:] for c in _REFUSED], ids=[c[0] for c in _REFUSED]
)
def test_edit_of_a_shared_or_missing_value_is_refused(
    text: str, path: tuple[str | int, ...], value: object, message: str, tmp_path: Path
) -> None:
    with pytest.raises(EditError) as caught:
        edit(tmp_path, text, Edit(path, value))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("image:\n\ttag: v1\n", "f.yaml:2:1", id="tab"),
        pytest.param("a: 1\na: 2\n", "f.yaml:2:1", id="duplicate"),
        pytest.param("a: [\n", "f.yaml:2:1", id="syntax"),
        pytest.param("- a\n", "f.yaml:1:1", id="not a mapping"),
        pytest.param("a: 1\n---\nb: 1\n", "f.yaml:2:1", id="two documents"),
    ],
)
def test_file_with_errors_is_not_edited(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        edit(tmp_path, text, Edit(TAG, "v2"))


def test_a_file_that_is_not_utf8_is_not_edited(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        build_change(tmp_path, "f.yaml", [Edit(TAG, "v2")])


def test_missing_file_is_created_with_its_folders_and_an_opening_comment(tmp_path: Path) -> None:
    change = build_change(tmp_path, "a/b/f.yaml", [Edit(TAG, "v2")], opening="# why\n")
    with apply_changes(tmp_path, [change]):
        assert (tmp_path / "a/b/f.yaml").read_text() == "# why\nimage:\n  tag: v2\n"


def test_files_are_written_together_and_undone_together(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("image: {tag: v1}\n")
    (tmp_path / "f.yaml").chmod(0o640)
    paths = ("f.yaml", "new/g.yaml")
    changes = [build_change(tmp_path, path, [Edit(TAG, "v2")]) for path in paths]
    seen: set[str] = set()

    def fail_afterwards() -> None:
        with apply_changes(tmp_path, changes):
            seen.update(load_document(tmp_path, path)[0].data["image"]["tag"] for path in paths)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_afterwards()
    assert seen == {"v2"}
    assert [path.name for path in tmp_path.iterdir()] == ["f.yaml"]
    assert (tmp_path / "f.yaml").read_text() == "image: {tag: v1}\n"
    assert (tmp_path / "f.yaml").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("exists", [True, False], ids=["changed", "created"])
def test_file_changed_by_someone_else_is_not_overwritten(exists: bool, tmp_path: Path) -> None:
    if exists:
        (tmp_path / "g.yaml").write_text("image: {tag: v1}\n")
    changes = [build_change(tmp_path, path, [Edit(TAG, "v2")]) for path in ("f.yaml", "g.yaml")]
    (tmp_path / "g.yaml").write_text("image: {tag: v3}\n")
    with pytest.raises(EditError, match=r"g\.yaml: "), apply_changes(tmp_path, changes):
        pass
    assert (tmp_path / "g.yaml").read_text() == "image: {tag: v3}\n"
    assert not (tmp_path / "f.yaml").exists()


def test_unreadable_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").mkdir()
    with pytest.raises(EditError, match=r"g\.yaml: cannot be read"):
        build_change(tmp_path, "g.yaml", [Edit(TAG, "v2")])


def test_failed_write_undoes_the_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [build_change(tmp_path, path, [Edit(TAG, "v2")]) for path in ("f.yaml", "g.yaml")]

    def fill_the_disk(descriptor: int) -> None:
        if (tmp_path / "f.yaml").exists():
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fill_the_disk)
    with (
        pytest.raises(EditError, match=r"g\.yaml: cannot be written"),
        apply_changes(tmp_path, changes),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_symbolic_link_is_kept(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("image: {tag: v1}\n")
    (tmp_path / "f.yaml").symlink_to("real.yaml")
    with apply_changes(tmp_path, [build_change(tmp_path, "f.yaml", [Edit(TAG, "v2")])]):
        pass
    assert (tmp_path / "f.yaml").is_symlink()
    assert (tmp_path / "real.yaml").read_text() == "image: {tag: v2}\n"
