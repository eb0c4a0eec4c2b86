"""Damaged or unwritable state files are refused in one sentence, never taken for a new stack."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from framework.core import atomic_files
from framework.core.errors import StateError
from framework.engines.embedded.engine import EmbeddedEngine
from framework.engines.state import files
from framework.engines.state.journal import Journal, parse_journal
from tests.engines.fakes import FakeCluster, SharedProgram, Stack

PROJECT = """\
name: test
runtime: python
stackConfigDir: environments
backend: {url: "file://./.state"}
"""


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, shared_program: SharedProgram) -> Stack:
    """Deploys twice, so that there is a .bak; made once, since each run starts a process."""
    root = tmp_path_factory.mktemp("deployed")
    (root / "Pulumi.yaml").write_text(PROJECT)
    cluster = FakeCluster()
    stack = Stack(root, EmbeddedEngine(cluster.connect, shared_program.start), cluster)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PULUMI_BACKEND_URL", raising=False)
        stack.program("config_map('x')")
        stack.up()
        stack.program("config_map('x')\nconfig_map('y')")
        stack.up()
    return stack


@pytest.fixture
def path(stack: Stack, deployed: Stack) -> Path:
    """Copies `deployed` into `stack`; returns the path of its checkpoint."""
    shutil.copytree(deployed.root, stack.root, dirs_exist_ok=True)
    stack.cluster.objects.update(deployed.cluster.objects)
    return stack.state_file


def refuse(stack: Stack, *verbs: Callable[[], object]) -> str:
    """Returns the one-line error that every verb raises for the state; nothing may change."""
    before = {path: path.read_bytes() for path in list_files(stack)}
    objects = stack.cluster.ids()
    request, engine = stack.request(), stack.engine
    reading = [
        partial(verb, request)
        for verb in (engine.recorded_objects, engine.outputs, engine.summarize)
    ]
    messages = []
    for verb in (*verbs, stack.destroy, stack.refresh, *reading):
        with pytest.raises(StateError) as error:
            verb()
        messages.append(str(error.value))
    assert len(set(messages)) == 1
    assert len(messages[0].splitlines()) == 1
    assert {path: path.read_bytes() for path in list_files(stack)} == before
    assert stack.cluster.ids() == objects
    return messages[0]


def list_files(stack: Stack) -> list[Path]:
    return sorted(path for path in (stack.root / ".state").rglob("*") if path.is_file())


def edit_latest(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        document = json.loads(content)
        change(document["checkpoint"]["latest"])
        return json.dumps(document).encode()

    return edit


def set_field(index: int, name: str, value: Any) -> Callable[[bytes], bytes]:
    return edit_latest(lambda latest: latest["resources"][index].update({name: value}))


CHECKPOINTS = [
    pytest.param(lambda _: b"", "is empty", id="empty"),
    pytest.param(lambda _: b" \n", "is empty", id="blank"),
    pytest.param(lambda _: b"\0" * 64, "is not JSON", id="zeros"),
    pytest.param(lambda content: content[:-40], "is not JSON", id="truncated"),
    pytest.param(lambda _: b"\xff\xfe{", "is not UTF-8", id="not UTF-8"),
    pytest.param(
        lambda _: b'{"version": 3, "checkpoint":' + b"[" * 100_000,
        "is not JSON",
        id="nested too deeply",
    ),
    pytest.param(lambda _: b"[]", "contains no checkpoint: it has no version", id="a list"),
    pytest.param(lambda _: b'{"version": 3}', "checkpoint is missing", id="no checkpoint"),
    pytest.param(
        lambda _: b'{"version": 3, "checkpoint": {}}', "checkpoint.stack is missing", id="no stack"
    ),
    pytest.param(
        lambda _: b'{"version": 3, "checkpoint": {"stack": "s", "latest": []}}',
        "checkpoint.latest is a list; expected a mapping",
        id="latest is a list",
    ),
    pytest.param(
        edit_latest(lambda latest: latest.update(resources={})),
        "latest.resources is a mapping; expected a list",
        id="resources is a mapping",
    ),
    pytest.param(
        edit_latest(lambda latest: latest["resources"].append("x")),
        "latest.resources[4] is text; expected a mapping",
        id="a resource is text",
    ),
    pytest.param(
        edit_latest(lambda latest: latest["resources"][2].pop("urn")),
        "latest.resources[2].urn is missing",
        id="no urn",
    ),
    pytest.param(set_field(2, "urn", "x"), "latest.resources[2].urn", id="an invalid urn"),
    pytest.param(set_field(2, "type", 5), "[2].type is a number", id="type is a number"),
    pytest.param(
        edit_latest(lambda latest: latest["resources"][2].pop("provider")),
        "latest.resources[2].provider is missing",
        id="an object without a provider",
    ),
    pytest.param(set_field(2, "inputs", []), "[2].inputs is a list", id="inputs is a list"),
    pytest.param(set_field(2, "protect", "no"), "[2].protect is text", id="protect is text"),
    pytest.param(
        set_field(2, "dependencies", "x"), "[2].dependencies is text", id="dependencies is text"
    ),
    pytest.param(
        set_field(2, "dependencies", [1]),
        "[2].dependencies[0] is a number",
        id="dependencies of numbers",
    ),
    pytest.param(
        set_field(2, "propertyDependencies", {"a": "x"}),
        "[2].propertyDependencies[...] is text",
        id="propertyDependencies of text",
    ),
    pytest.param(
        edit_latest(lambda latest: latest.update(pending_operations=[{"type": "creating"}])),
        "latest.pending_operations[0].resource is missing",
        id="a pending operation without a resource",
    ),
    pytest.param(
        edit_latest(lambda latest: latest.update(secrets_providers="passphrase")),
        "latest.secrets_providers is text",
        id="secrets_providers is text",
    ),
    pytest.param(
        edit_latest(lambda latest: latest.update(manifest=[])),
        "latest.manifest is a list",
        id="manifest is a list",
    ),
]


@pytest.mark.parametrize(("damage", "problem"), CHECKPOINTS)
def test_damaged_checkpoint_is_refused_with_the_problem_and_the_copy(
    stack: Stack, path: Path, damage: Callable[[bytes], bytes], problem: str
) -> None:
    path.write_bytes(damage(path.read_bytes()))
    message = refuse(stack)
    assert message.startswith(f"{path}: ")
    assert problem in message
    assert f"`cp {path}.bak {path}`" in message


def test_damaged_copy_is_not_recommended(stack: Stack, path: Path) -> None:
    path.write_bytes(b"")
    path.with_name("dev.json.bak").write_bytes(path.with_name("dev.json.bak").read_bytes()[:-30])
    message = refuse(stack)
    assert "cp " not in message
    assert f"{path}.bak cannot be used" in message
    path.with_name("dev.json.bak").unlink()
    assert "there is no copy" in refuse(stack)


def test_copy_restores_the_stack(stack: Stack, path: Path) -> None:
    path.write_bytes(b"")
    path.write_bytes(path.with_name("dev.json.bak").read_bytes())
    stack.up()
    assert stack.preview().clean
    assert len(stack.resources) == 4


@pytest.mark.parametrize("name", ["dev.json", "dev.json.journal"])
def test_damaged_state_is_refused_by_deploying_verbs(stack: Stack, path: Path, name: str) -> None:
    path.with_name(name).write_text('{"set": 1}\n')
    refuse(stack, stack.up, stack.preview)


def test_missing_checkpoint_with_a_full_copy_is_refused(stack: Stack, path: Path) -> None:
    path.unlink()
    message = refuse(stack)
    assert "the file does not exist" in message
    assert f"`cp {path}.bak {path}`" in message


def test_removed_stack_can_be_created_again(stack: Stack, path: Path) -> None:
    # `pulumi stack rm` renames the checkpoint of a stack that has no resources left.
    stack.destroy()
    path.rename(path.with_name("dev.json.bak"))
    stack.up()
    assert stack.preview().clean


@pytest.mark.parametrize("name", ["dev.json", "dev.json.journal"])
def test_folder_in_place_of_a_state_file_is_refused(stack: Stack, path: Path, name: str) -> None:
    damaged = path.with_name(name)
    damaged.unlink(missing_ok=True)
    damaged.mkdir()
    message = refuse(stack)
    assert message.startswith(f"{damaged}: is a folder")


def test_file_in_place_of_the_state_folder_is_refused(stack: Stack) -> None:
    (stack.root / ".state").write_text("")
    with pytest.raises(StateError, match=r"\.state.*is not a folder"):
        stack.destroy()
    with pytest.raises(StateError, match=r"\.state.*is not a folder"):
        stack.engine.outputs(stack.request())


def refuse_reading(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Makes files of this name unreadable. A file mode would not stop root from reading them."""
    read = Path.read_bytes

    def fail(path: Path) -> bytes:
        if path.name == name:
            raise OSError(number, os.strerror(number), str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", fail)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO], ids=["permission", "disk"])
@pytest.mark.parametrize("name", ["dev.json", "dev.json.journal"])
def test_unreadable_state_file_is_refused(
    stack: Stack, path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    damaged = path.with_name(name)
    refuse_reading(monkeypatch, name, number)
    with pytest.raises(StateError) as error:
        stack.engine.outputs(stack.request())
    assert str(error.value).startswith(f"{damaged}: cannot be read ({os.strerror(number).lower()})")


GONE = '{"drop":"urn:pulumi:dev::test::kubernetes:core/v1:ConfigMap::y"}\n'
JOURNALS = [
    pytest.param(f'{{"set": {{"to\n{GONE}', "line 1 is not JSON", id="torn in the middle"),
    pytest.param(f"{GONE}\0\0\0\n{GONE}", "line 2 is not JSON", id="zeros in the middle"),
    pytest.param(f"{GONE}\n{GONE}", "line 2 is not JSON", id="an empty line in the middle"),
    pytest.param('{"set": {"to\n', "line 1 is not JSON", id="a whole last line"),
    pytest.param("[]\n", "line 1 is a list", id="a list"),
    pytest.param("5", "line 1 is a number", id="a number"),
    pytest.param('{"frob": 1}\n', "line 1 is of an unknown kind", id="unknown"),
    pytest.param("{}\n", "line 1 is of an unknown kind", id="nothing in it"),
    pytest.param('{"drop": 1, "end": "x"}\n', "line 1 is of an unknown kind", id="two in one"),
    pytest.param('{"drop": 1}\n', "line 1: drop is a number", id="drop of a number"),
    pytest.param('{"end": {}}\n', "line 1: end is a mapping", id="end of a mapping"),
    pytest.param('{"set": "x"}\n', "line 1: set is text", id="set of text"),
    pytest.param('{"set": {"type": "x"}}\n', "line 1: set.urn is missing", id="set without urn"),
    pytest.param('{"begin": {"type": "x"}}\n', "line 1: begin.resource is missing", id="begin"),
    pytest.param('{"rename": {"a": 1}}\n', "line 1: rename[...] is a number", id="rename"),
    pytest.param('{"salt": null}\n', "line 1: salt is null", id="salt"),
]


@pytest.mark.parametrize(("text", "problem"), JOURNALS)
def test_damaged_journal_is_refused_with_its_line(
    stack: Stack, path: Path, text: str, problem: str
) -> None:
    journal = path.with_name("dev.json.journal")
    journal.write_text(text)
    message = refuse(stack)
    assert message.startswith(f"{journal}: {problem}")
    assert f"`mv {journal} {journal}.damaged`" in message


def test_journal_that_is_not_utf8_is_refused(stack: Stack, path: Path) -> None:
    journal = path.with_name("dev.json.journal")
    journal.write_bytes(b'{"drop":"\xff"}\n')
    assert "is not UTF-8" in refuse(stack)


@pytest.mark.parametrize("tail", ['{"set": {"to', "\0\0\0\0", '{"dr\xff'], ids=repr)
def test_incomplete_last_line_is_left_out(tmp_path: Path, tail: str) -> None:
    journal = tmp_path / "journal"
    journal.write_bytes(GONE.encode() + tail.encode("latin-1"))
    assert parse_journal(files.read_bytes(journal), journal) == [json.loads(GONE)]


@pytest.mark.parametrize(
    "text", ["", "[]", "5", "x", '{"uid": 5}', '{"context": "fake"}', "\xff"], ids=repr
)
def test_damaged_record_of_clusters_is_refused(stack: Stack, path: Path, text: str) -> None:
    record = stack.root / ".state/.pulumi/clusters/test/dev.json"
    record.write_bytes(text.encode("latin-1"))
    objects = stack.cluster.ids()
    with pytest.raises(StateError) as error:
        stack.destroy()
    message = str(error.value)
    assert message.startswith(f"{record}: ")
    assert "which cluster" in message
    assert "remove" in message
    assert len(message.splitlines()) == 1
    assert stack.cluster.ids() == objects


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "5",
        "{",
        "\xff",
        "{}",
        '{"pid": "x"}',
        '{"pid": -1, "hostname": 5}',
        '{"pid": 99999999999999999999999}',
    ],
    ids=repr,
)
def test_damaged_lock_holds_the_stack(stack: Stack, path: Path, text: str) -> None:
    lock = stack.root / ".state/.pulumi/locks/organization/test/dev/x.json"
    lock.write_bytes(text.encode("latin-1"))
    with pytest.raises(StateError) as error:
        stack.destroy()
    assert f"remove {lock} and run again" in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert lock.exists()


def fail_writing(monkeypatch: pytest.MonkeyPatch, number: int, ending: str) -> list[str]:
    """Fails writes to files of this ending; returns the list of those that failed."""
    failed: list[str] = []
    write = atomic_files.write_all

    def fail(fd: int, data: bytes) -> None:
        path = str(Path(f"/proc/self/fd/{fd}").readlink())
        if ending in path:
            os.write(fd, data[: len(data) // 2])
            failed.append(path)
            raise OSError(number, os.strerror(number))
        write(fd, data)

    monkeypatch.setattr(atomic_files, "write_all", fail)
    return failed


def list_temporary(stack: Stack) -> list[Path]:
    return list((stack.root / ".state").rglob("*.tmp"))


@pytest.mark.parametrize(
    "ending", ["/.dev.json.", "/.dev.json.bak.", "/locks/", "dev.json.journal"]
)
def test_full_disk_is_reported_and_loses_nothing(
    stack: Stack, path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    before = path.read_bytes()
    stack.program("config_map('x')\nconfig_map('y', {'k': 'v'})")
    with monkeypatch.context() as patch:
        assert fail_writing(patch, errno.ENOSPC, ending) == []
        try:
            message = "\n".join(failure.reason for failure in stack.up().failures)
        except StateError as error:
            message = str(error)
    assert "cannot be written (no space left on device)" in message
    assert "free" in message
    assert list_temporary(stack) == []
    assert not list((stack.root / ".state/.pulumi/locks").rglob("*.json"))
    # Nothing is lost: the state is the one before, or what was done is in the journal.
    assert json.loads(before)["checkpoint"]["latest"]["resources"]
    stack.up()
    assert stack.preview().clean
    assert {resource["urn"].rpartition("::")[2] for resource in stack.resources} >= {"x", "y"}


def test_read_only_file_system_is_reported(
    stack: Stack, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    def fail(path: Path, *args: object, **options: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(atomic_files, "open_new", fail)
    with pytest.raises(StateError, match=r"cannot be written \(read-only file system\)") as error:
        stack.destroy()
    assert len(str(error.value).splitlines()) == 1


def test_half_written_line_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.append({"drop": "a"})
    with monkeypatch.context() as patch:
        fail_writing(patch, errno.ENOSPC, "journal")
        with pytest.raises(StateError):
            journal.append({"drop": "b"})
    # Lines after a lost one must not be written: they would describe a state that never existed.
    with pytest.raises(StateError):
        journal.append({"drop": "c"})
    journal.close()
    assert parse_journal(files.read_bytes(path), path) == [{"drop": "a"}]


def test_checkpoint_and_copy_are_readable_by_the_owner_only(stack: Stack, path: Path) -> None:
    for file in (path, path.with_name("dev.json.bak")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    path.chmod(0o644)
    stack.destroy()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_journal_is_readable_by_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text("")
    path.chmod(0o644)
    Journal(path).append({"drop": "a"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        pytest.param("Pulumi.yaml", b"\xff", "is not UTF-8", id="not UTF-8"),
        pytest.param("Pulumi.yaml", b"name: [", "is not valid YAML", id="not YAML"),
        pytest.param("Pulumi.yaml", b"name: \0", "is not valid YAML", id="zeros"),
        pytest.param("Pulumi.yaml", b"- name", "is not a mapping", id="a list"),
        pytest.param("Pulumi.yaml", b"", "a project needs `name`", id="empty"),
        pytest.param(
            "Pulumi.yaml", b"name: x\nruntime: python\nbackend: x", "backend is not", id="backend"
        ),
        pytest.param(
            "Pulumi.yaml", b"name: x\nruntime: python\nmain: 5", "main is not text", id="main"
        ),
        pytest.param("Pulumi.dev.yaml", b"config: [a]", "config is not a mapping", id="config"),
        pytest.param("Pulumi.dev.yaml", b"encryptionsalt: 5", "encryptionsalt is not", id="salt"),
        pytest.param(
            "Pulumi.dev.yaml",
            b"encryptionsalt: v1:%:x\nconfig: {a: {secure: v1:AA==}}",
            "encryptionsalt is damaged",
            id="damaged salt",
        ),
    ],
)
def test_damaged_project_file_is_refused(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    path: Path,
    name: str,
    content: bytes,
    problem: str,
) -> None:
    file = stack.root / ("environments" if "dev" in name else ".") / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    with pytest.raises(StateError) as error:
        stack.destroy()
    assert str(error.value).startswith(f"{file}: ")
    assert problem in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_leftovers_of_a_killed_command_are_removed(stack: Stack, path: Path) -> None:
    pulumi = stack.root / ".state/.pulumi"
    ended = 2**22 + 1
    folders = {
        path.parent: "dev.json",
        pulumi / "clusters/test": "dev.json",
        pulumi / "locks/organization/test/dev": "a-b.json",
        pulumi / "history/test/dev": "dev-1.history.json",
        pulumi: "meta.yaml",
    }
    leftovers = [folder / f".{name}.{ended}.0a1b2c3d.tmp" for folder, name in folders.items()]
    # The CLI writes without a dot.
    leftovers.append(path.with_name("dev.json.bak.18eb835fed8975e9.tmp"))
    orphan = pulumi / "locks/organization/test/dev/d-e.json.attrs"
    # Another stack's, and a lock that another command is writing.
    others = [
        path.parent / f".prod.json.{ended}.0a1b2c3d.tmp",
        pulumi / f"locks/organization/test/dev/.c.json.{os.getpid()}.0a1b2c3d.tmp",
    ]
    for file in (*leftovers, *others):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("half of")
    # The CLI refuses a checkpoint whose attributes are empty.
    cut = [path.with_name("dev.json.attrs"), pulumi / "history/test/dev/dev-2.history.json.attrs"]
    for file in (*cut, orphan):
        file.touch()
    leftovers += [*cut, orphan]
    whole = path.with_name("dev.json.bak.attrs")
    whole.write_text("{}")
    others.append(whole)
    stack.preview()
    assert all(file.exists() for file in leftovers)
    stack.up()
    assert not any(file.exists() for file in leftovers)
    assert all(file.exists() for file in others)


def test_outputs_that_cannot_be_recorded_are_a_failure(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Journal.append

    def fail(journal: Journal, *lines: Any) -> None:
        if any("Stack" in str(line.get("set", {}).get("type", "")) for line in lines):
            raise files.build_write_error(journal._path, OSError(28, "No space left on device"))
        append(journal, *lines)

    monkeypatch.setattr(Journal, "append", fail)
    stack.program("pulumi.export('a', 'b')\nconfig_map('x')")
    result = stack.up()
    reasons = [failure.reason for failure in result.failures]
    assert any("no space left on device" in reason for reason in reasons), reasons
