"""Writes prepared changes: all files or none, and only if the catalog stays valid."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from framework.catalog import Catalog, read_catalog
from framework.core.atomic_files import discard, write_beside
from framework.core.diagnostics import Diagnostic
from framework.core.errors import ConfigError, EditError, FrameworkError
from framework.core.stack import Stack
from framework.edits.yaml_edit import Change, is_same
from framework.files.document import load_document
from framework.plan import PlanStore


class InvalidEditError(FrameworkError):
    """An edit that would leave errors in the catalog. Every file is restored."""

    def __init__(self, diagnostics: Iterable[Diagnostic], advice: str = "") -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(
            f"Nothing was changed: the catalog would have these errors.\n"
            f"{ConfigError(self.diagnostics)}" + (f"\n{advice}" if advice else "")
        )


def load_catalogs(
    root: Path, names: Collection[str], environments: Iterable[str]
) -> Mapping[str, Catalog]:
    """Loads and checks these models in each environment.

    Errors: ConfigError with the errors of all environments.
    """
    environments = [*environments]
    if errors := list_errors(root, names, environments):
        raise ConfigError(errors)
    stacks = [Stack.of(environment) for environment in environments]
    return {stack.environment: read_catalog(root, stack, models=names) for stack in stacks}


def list_errors(
    root: Path, names: Collection[str], environments: Iterable[str]
) -> list[Diagnostic]:
    """Returns the errors of these models in each environment."""
    stacks = [Stack.of(environment) for environment in environments]
    loaded = PlanStore(root).load(stacks, models=names).plans.values()
    return [error for plan in loaded for error in plan.errors]


def find_new_errors(before: Iterable[Diagnostic], after: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Returns the errors that an edit adds. Their lines do not count, because an edit moves them.

    Two environments report the same error of a file that both read, so each error counts once.
    """
    known = Counter(map(_identify, dict.fromkeys(before)))
    new = []
    for error in dict.fromkeys(after):
        known[_identify(error)] -= 1
        if known[_identify(error)] < 0:
            new.append(error)
    return new


def _identify(error: Diagnostic) -> tuple[str, str, str, str]:
    return error.path, error.code, error.message, error.model


@contextmanager
def apply_valid_changes(
    root: Path,
    changes: Sequence[Change],
    names: Collection[str],
    environments: Iterable[str],
    *,
    advice: str = "",
) -> Iterator[Mapping[str, Catalog]]:
    """Writes the changes and yields the catalogs that result, or restores every file.

    Errors: InvalidEditError, which ends in `advice`; EditError if a file cannot be written.
    """
    with apply_changes(root, changes):
        try:
            catalogs = load_catalogs(root, names, environments)
        except ConfigError as error:
            raise InvalidEditError(error.diagnostics, advice) from error
        yield catalogs


def apply_without_new_errors(
    root: Path, changes: Sequence[Change], names: Collection[str], environments: Sequence[str]
) -> None:
    """Writes the changes, or restores every file if they add errors to these models.

    An error that was there before may be of a file that somebody else is editing. Errors:
    InvalidEditError; EditError if a file cannot be written.
    """
    if not changes:
        return
    before = list_errors(root, names, environments)
    with apply_changes(root, changes):
        after = list_errors(root, names, environments)
        if new := find_new_errors(before, after):
            raise InvalidEditError(new)


@contextmanager
def apply_changes(root: Path, changes: Sequence[Change]) -> Iterator[None]:
    """Writes every change. If one fails or the block raises, every file is restored.

    A file that somebody changed since it was read is left as it is. Errors: EditError.
    """
    needed = [change for change in changes if change.is_needed]
    written: list[Change] = []
    new_folders: list[Path] = []
    try:
        for change in needed:
            _check_unchanged(root, change)
        for change in needed:
            new_folders += _make_folders(root / change.path)
            written.append(change)
            _write(root, change.path, change.new)
            _check_written(root, change)
        yield
    except BaseException:
        # BaseException, because Ctrl-C must not leave half of the files changed either.
        for change in reversed(written):
            _restore(root, change)
        for folder in reversed(new_folders):
            folder.rmdir()
        raise


def _check_unchanged(root: Path, change: Change) -> None:
    file = root / change.path
    current = file.read_bytes() if file.exists() else None
    if current != change.old:
        event = "exists already" if change.old is None else "was changed meanwhile"
        raise EditError((change.path, f"{event}; nothing was written, run the command again"))


def _make_folders(file: Path) -> list[Path]:
    missing = [folder for folder in file.parents if not folder.exists()][::-1]
    for folder in missing:
        folder.mkdir()
    return missing


def _write(root: Path, path: str, content: bytes) -> None:
    # Replace the target of a symbolic link, not the link itself.
    file = (root / path).resolve()
    try:
        # The name of this file begins with a dot, so a command that lists models ignores it.
        temporary = write_beside(file, content)
        try:
            if file.exists():
                temporary.chmod(file.stat().st_mode & 0o7777)
            temporary.replace(file)
        finally:
            discard(temporary)
    except OSError as exc:
        raise EditError((path, f"cannot be written: {exc.strerror or exc}")) from exc


def _check_written(root: Path, change: Change) -> None:
    document, diagnostics = load_document(root, change.path)
    if diagnostics or not is_same(document.data, change.data):
        message = "does not read back as intended; it was restored, edit it by hand"
        raise EditError((change.path, message))


def _restore(root: Path, change: Change) -> None:
    if change.old is not None:
        _write(root, change.path, change.old)
    else:
        (root / change.path).unlink(missing_ok=True)
