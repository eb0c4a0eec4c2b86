"""One environment's catalog: every enabled model, merged, validated, with each value's origin.

Kept apart from the plan: this knows which files make a model and in what order, and nothing of
Kubernetes objects.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from framework.catalog.loading import Loader
from framework.catalog.model import Catalog, CatalogModel
from framework.catalog.reading import CatalogReader
from framework.core.errors import ConfigError, UnknownNameError
from framework.files import Document, environment_names, find_catalog
from framework.layers import Merged
from framework.settings.environment import Environment

__all__ = [
    "Catalog",
    "CatalogModel",
    "CatalogReader",
    "list_environments",
    "list_models",
    "load_catalog",
    "read_catalog",
    "read_environment",
]


def list_environments(root: Path) -> tuple[str, ...]:
    """The names of the environments, sorted; reads no file."""
    return environment_names(root)


def list_models(root: Path) -> tuple[str, ...]:
    """The names of the catalog's models, sorted; reads no file."""
    return tuple(find_catalog(root).models)


def load_catalog(
    root: Path,
    environment: str,
    stack: str | None = None,
    *,
    only: Collection[str] | None = None,
    last: Sequence[Document] = (),
) -> Catalog:
    """As `read_catalog`, and ConfigError where there is any fault."""
    catalog = read_catalog(root, environment, stack, only=only, last=last)
    if catalog.diagnostics:
        raise ConfigError(catalog.diagnostics)
    return catalog


def read_catalog(
    root: Path,
    environment: str,
    stack: str | None = None,
    *,
    only: Collection[str] | None = None,
    last: Sequence[Document] = (),
    reader: CatalogReader | None = None,
) -> Catalog:
    """Read, merge and validate the catalog for `environment`.

    `stack` is what `${stack.name}` gives, the environment's name where it is not said. `only`
    names the models to load; no file of another one is read, and for none of them only what all
    share. `last` are laid over every model after all else. A `reader` that other environments share
    spares reading their files again.
    Errors: UnknownNameError for the environment; ConfigError with every fault where the
    environment itself cannot be used.
    """
    if environment not in (known := environment_names(root)):
        raise UnknownNameError("environment", environment, known)
    shared = reader or CatalogReader(root)
    return Loader(root, environment, stack or environment, only, last, shared).load()


def read_environment(root: Path, environment: str) -> tuple[Environment | None, Merged]:
    """One environment's own settings, from its own file alone; None where they have faults."""
    loader = Loader(root, environment, environment, (), (), CatalogReader(root))
    return loader.load_environment()
