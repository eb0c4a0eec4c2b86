"""The YAML files: which there are, what they say, and where each key and value stands.

Kept apart from merging so that a syntax fault, a trap of YAML's and a misnamed file are all found
without knowing what a setting means. Nothing else reads the catalog's files.
"""

from framework.files.document import Document, load_document
from framework.files.environments import list_environments
from framework.files.files import (
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
