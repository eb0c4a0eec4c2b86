"""Finds and reads the YAML files of the catalog, with the position of every key and value.

Errors in the syntax, ambiguous values and misnamed files are found here, without knowing what a
setting means.
"""

from framework.files.document import Document, load_document
from framework.files.environments import list_environments
from framework.files.layout import (
    CatalogFiles,
    EnvironmentFiles,
    count_files,
    environment_names,
    find_catalog,
    find_environment,
    name_diagnostics,
)

__all__ = [
    "CatalogFiles",
    "Document",
    "EnvironmentFiles",
    "count_files",
    "environment_names",
    "find_catalog",
    "find_environment",
    "list_environments",
    "load_document",
    "name_diagnostics",
]
