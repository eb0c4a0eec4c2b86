"""Lists and exports the files that the reader would read in a commit of the project.

The reader opens files by their paths, and follows symbolic links and the folders of submodules to
whatever they lead to. Git does not: it lists a link as a file that contains a path, and a submodule
as one line with a commit. So each path is resolved here as an operating system would, inside the
trees of the commit. The result has no links and no submodules left.

The export uses a temporary index instead of `git worktree add`: that command fails if `.git` is
read-only, as in some CI runners, runs the post-checkout hook, checks out the whole repository, and
leaves an entry in `.git/worktrees` if it is killed. Here nothing in `.git` is written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from framework.core.errors import FrameworkError
from framework.core.git import run_git, start_git

# Everything that manifests are made from.
CATALOG_PARTS = ("catalog", "environments")
CODE = "framework"
PARTS = (*CATALOG_PARTS, CODE, "requirements.lock")
_LINK, _SUBMODULE = "120000", "160000"
# As many as Linux follows in one path (`MAXSYMLINKS`).
_MAX_LINKS = 40


class SubmoduleError(FrameworkError):
    """The files of a submodule are not in this clone, so they cannot be compared."""

    def __init__(self, path: str, why: str, command: str) -> None:
        self.path = path
        super().__init__(f"{path} is a submodule, and {why}; run `{command}`")


class Blob(NamedTuple):
    """A file in a commit: its mode, and the hash of its content."""

    mode: str
    id: str


# A folder of a commit by the names in it, or a file.
Node = dict[str, "Node"] | Blob


@dataclass
class CommitFiles:
    """The files of a commit by their paths, relative to the project's root.

    `outside` has the files that a link outside the repository leads to. The commit does not have
    their content, so they are read as they are now.
    """

    top: Path
    prefix: str
    blobs: dict[str, Blob] = field(default_factory=dict)
    outside: dict[str, Path] = field(default_factory=dict)
    leaving_links: list[str] = field(default_factory=list)
    submodules: list[str] = field(default_factory=list)
    object_folders: list[str] = field(default_factory=list)

    def export(self, folder: Path, paths: Collection[str]) -> Path:
        """Writes these files under `folder`, and returns the project's root in it.

        They are the same as after a checkout: line endings are converted, and filters such as Git
        LFS are applied. `git archive` would leave out files with the attribute export-ignore.
        """
        index = {
            "GIT_INDEX_FILE": str(folder / ".index"),
            # The blobs of a submodule are in a repository of its own.
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": os.pathsep.join(self.object_folders),
        }
        entries = (
            f"{blob.mode} {blob.id}\t{self.prefix}{path}\0"
            for path, blob in self.blobs.items()
            if path in paths
        )
        command = ("update-index", "-z", "--index-info")
        run_git(self.top, *command, stdin="".join(entries), environment=index)
        command = ("checkout-index", "--all", f"--prefix={folder}{os.sep}")
        run_git(self.top, *command, environment=index)
        # The project may be in a folder of its repository.
        root = folder / self.prefix
        root.mkdir(parents=True, exist_ok=True)
        for path in self.outside.keys() & set(paths):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.outside[path], root / path)
        return root


def list_commit_files(root: Path, commit: str) -> CommitFiles:
    """Lists the files of a commit that the project at `root` is made from.

    Errors: GitError; SubmoduleError if the commit of a submodule is not in this clone.
    """
    top, prefix = run_git(root, "rev-parse", "--show-toplevel", "--show-prefix").split("\n")[:2]
    files = CommitFiles(Path(top), prefix)
    paths = [f"{prefix}{part}" for part in PARTS]
    tree = _list_tree(Path(top), commit, paths)
    if any(blob.mode in (_LINK, _SUBMODULE) for blob in tree.values()):
        _Resolver(files, commit).add_parts()
    else:
        files.blobs = {
            path: blob for full, blob in tree.items() if is_read(path := full.removeprefix(prefix))
        }
    return files


def is_read(path: str) -> bool:
    """Returns True for a file that the reader may read: hidden files and folders are left out.

    In framework/, only Python and JSON files count: plans are made by them.
    """
    head, *below = path.split("/")
    if any(name.startswith(".") for name in below):
        return False
    return head != CODE or path.endswith((".py", ".json"))


def _list_tree(repository: Path, commit: str, paths: Iterable[str] = ()) -> dict[str, Blob]:
    listing = run_git(repository, "ls-tree", "-r", "-z", "--full-tree", commit, "--", *paths)
    blobs = {}
    for line in filter(None, listing.split("\0")):
        entry, path = line.split("\t", 1)
        mode, _, id_ = entry.split(" ")
        blobs[path] = Blob(mode, id_)
    return blobs


def _read_links(repository: Path, blobs: Iterable[Blob]) -> dict[str, str]:
    """Returns what symbolic links contain, by the hash of their blobs."""
    ids = [blob.id for blob in blobs if blob.mode == _LINK]
    if not ids:
        return {}
    output = run_git(repository, "cat-file", "--batch", stdin="\n".join(ids) + "\n")
    content, targets = os.fsencode(output), {}
    for id_ in ids:
        # Each blob is printed as "<id> blob <size>", its content, and a line break.
        header, _, content = content.partition(b"\n")
        size = int(header.rpartition(b" ")[2])
        targets[id_], content = os.fsdecode(content[:size]), content[size + 1 :]
    return targets


class _Resolver:
    """Follows links and submodules in the trees of one commit, and adds what they lead to."""

    def __init__(self, files: CommitFiles, commit: str) -> None:
        self._files = files
        self._targets: dict[str, str] = {}
        self._tree = self._load(files.top, commit)

    def add_parts(self) -> None:
        """Adds every file of the project to the list."""
        for part in PARTS:
            self._add(part, [*filter(None, self._files.prefix.split("/")), part], frozenset())

    def _load(self, repository: Path, commit: str) -> dict[str, Node]:
        blobs = _list_tree(repository, commit)
        self._targets |= _read_links(repository, blobs.values())
        tree: dict[str, Node] = {}
        for path, blob in blobs.items():
            *folders, name = path.split("/")
            folder = tree
            for parent in folders:
                below = folder.setdefault(parent, {})
                assert isinstance(below, dict)
                folder = below
            folder[name] = blob
        return tree

    def _add(self, path: str, physical: list[str], above: frozenset[tuple[str, ...]]) -> None:
        """Adds the file or folder that the project has at `path`.

        `above` are the folders that this one is in; a link to one of them would have no end.
        """
        found = self._find(physical)
        if isinstance(found, Path):
            self._add_outside(path, found)
            return
        here, node = found
        if isinstance(node, Blob):
            if is_read(path):
                self._files.blobs[path] = node
        elif node is not None and tuple(here) not in above:
            for name in sorted(node):
                if not name.startswith("."):
                    self._add(f"{path}/{name}", [*here, name], above | {tuple(here)})

    def _add_outside(self, path: str, target: Path) -> None:
        self._files.leaving_links.append(path)
        for below, file in list_folder(target, path):
            self._files.outside[below] = file

    def _find(self, physical: list[str]) -> tuple[list[str], Node | None] | Path:
        """Returns a folder or file with its own path, or a path outside the repository.

        A link that leads nowhere is returned itself, so that the reader reports it.
        """
        waiting, here, nodes = physical[::-1], list[str](), list[Node | None]([self._tree])
        links, first_link = 0, None
        while waiting:
            name = waiting.pop()
            if name in ("", "."):
                continue
            if name == "..":
                if not here:
                    return Path(self._files.top.parent, *reversed(waiting))
                here.pop()
                nodes.pop()
                continue
            child = self._open(nodes[-1], here, name)
            if isinstance(child, Blob) and child.mode == _LINK:
                links, first_link = links + 1, first_link or child
                if links > _MAX_LINKS:
                    return here, first_link
                target = Path(self._targets[child.id])
                if target.is_absolute():
                    if not target.is_relative_to(self._files.top):
                        return Path(target, *reversed(waiting))
                    target, here, nodes = target.relative_to(self._files.top), [], [self._tree]
                waiting += reversed(target.parts)
                continue
            if child is None:
                return here, first_link
            here.append(name)
            nodes.append(child)
        return here, nodes[-1]

    def _open(self, folder: Node | None, here: list[str], name: str) -> Node | None:
        """Returns what a folder has under this name; for a submodule, its files."""
        child = folder.get(name) if isinstance(folder, dict) else None
        if isinstance(child, Blob) and child.mode == _SUBMODULE and isinstance(folder, dict):
            child = folder[name] = self._load_submodule("/".join([*here, name]), child.id)
        return child

    def _load_submodule(self, path: str, commit: str) -> dict[str, Node]:
        """Returns the files of a submodule's commit."""
        self._files.submodules.append(path)
        repository = self._files.top / path
        if not (repository / ".git").exists():
            # It may be kept from an earlier checkout, if the branch has removed the submodule.
            kept = run_git(self._files.top, "rev-parse", "--git-path", f"modules/{path}").strip()
            repository = self._files.top / kept
            if not repository.is_dir():
                command = f"git submodule update --init {path}"
                raise SubmoduleError(path, "it is not in this clone", command)
        if start_git(repository, "cat-file", "-e", f"{commit}^{{commit}}").returncode:
            command = f"git -C {path} fetch origin {commit}"
            raise SubmoduleError(path, f"its commit {commit[:7]} is not in this clone", command)
        objects = run_git(repository, "rev-parse", "--git-path", "objects").strip()
        self._files.object_folders.append(str(repository / objects))
        return self._load(repository, commit)


def list_folder(
    file: Path, path: str, above: frozenset[tuple[int, int]] = frozenset()
) -> Iterator[tuple[str, Path]]:
    """Yields the files in a folder that the reader may read, through links, or the file itself.

    `path` is written before the paths of the files. `above` are the folders that this one is in.
    """
    if not file.is_dir():
        if is_read(path) and (file.is_file() or file.is_symlink()):
            yield path, file
        return
    status = file.stat()
    identity = (status.st_dev, status.st_ino)
    # A link to a folder that contains the link would have no end.
    if identity in above:
        return
    with os.scandir(file) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            below = f"{path}/{entry.name}"
            if entry.name.startswith(".") or entry.name == "__pycache__":
                continue
            # The listing has the type of each entry: no call is needed for a file.
            if entry.is_file(follow_symlinks=False):
                if is_read(below):
                    yield below, Path(entry.path)
            else:
                yield from list_folder(Path(entry.path), below, above | {identity})


def require_submodules(files: CommitFiles) -> None:
    """Refuses a working tree in which a submodule with files of the project is not checked out.

    Its folder is empty, so every model in it would count as removed. Errors: SubmoduleError.
    """
    parts = tuple(f"{files.prefix}{part}" for part in CATALOG_PARTS)
    for line in filter(None, run_git(files.top, "ls-files", "--stage", "-z").split("\0")):
        entry, path = line.split("\t", 1)
        is_used = path in files.submodules or f"{path}/".startswith(tuple(f"{p}/" for p in parts))
        if entry.startswith(_SUBMODULE) and is_used and not (files.top / path / ".git").exists():
            command = f"git submodule update --init {path}"
            raise SubmoduleError(path, "it is not checked out", command)
