"""Finds and reads the YAML files of the catalog, with the position of every key and value.

Errors in the syntax, ambiguous values and misnamed files are found here, without knowing what a
setting means. `files.document` is imported by its own name, because it loads PyYAML: a command that
finds its plan in the cache reads no YAML.
"""

from framework.files.environments import list_environments
from framework.files.layout import (
    CatalogFiles,
    EnvironmentFiles,
    count_files,
    environment_names,
    environment_path,
    find_catalog,
    find_environment,
    name_diagnostics,
)

__all__ = [
    "CatalogFiles",
    "EnvironmentFiles",
    "count_files",
    "environment_names",
    "environment_path",
    "find_catalog",
    "find_environment",
    "list_environments",
    "name_diagnostics",
]
