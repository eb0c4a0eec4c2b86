"""The models of one stack: merged, validated, with the origin of each value."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from framework.catalog.loading import CatalogLoader, CatalogReader
from framework.catalog.model import Catalog, CatalogModel, LoadedModel
from framework.core.errors import ConfigError, UnknownNameError
from framework.core.stack import Stack
from framework.files import environment_names, find_catalog, list_environments
from framework.files.document import Document
from framework.layers import Merged
from framework.settings.environment import Environment

__all__ = [
    "Catalog",
    "CatalogLoader",
    "CatalogModel",
    "CatalogReader",
    "LoadedModel",
    "list_models",
    "load_catalog",
    "read_catalog",
    "read_environment",
]


def list_models(root: Path) -> tuple[str, ...]:
    """Returns the names of the catalog's models, sorted, without reading their files."""
    return tuple(find_catalog(root).models)


def load_catalog(
    root: Path,
    stack: Stack,
    *,
    models: Collection[str] | None = None,
    overrides: Sequence[Document] = (),
) -> Catalog:
    """Reads a catalog as `read_catalog` does; raises ConfigError if its files have errors."""
    catalog = read_catalog(root, stack, models=models, overrides=overrides)
    if catalog.diagnostics:
        raise ConfigError(catalog.diagnostics)
    return catalog


def read_catalog(
    root: Path,
    stack: Stack,
    *,
    models: Collection[str] | None = None,
    overrides: Sequence[Document] = (),
) -> Catalog:
    """Reads, merges and validates the models of a stack, and collects the errors in their files.

    `models` names the ones to load, None all; the files of others are not read. `overrides` are
    merged over every model after all other layers. Raises UnknownNameError for the environment,
    and ConfigError with every error in the files where environment.yaml has one.
    """
    if stack.environment not in environment_names(root):
        raise UnknownNameError("environment", stack.environment, list_environments(root))
    return CatalogLoader(root, stack, overrides).load(models)


def read_environment(root: Path, environment: str) -> tuple[Environment | None, Merged]:
    """Reads the settings of an environment from its own file; None where they have errors."""
    loader = CatalogLoader(root, Stack.of(environment))
    return loader.settings, loader.merged
