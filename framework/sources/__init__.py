"""The YAML files: which there are, what they say, and where each key and value stands.

Kept apart from merging so that a syntax fault, a trap of YAML's and a misnamed file are all found
without knowing what a setting means. Nothing else reads the catalog's files.
"""

from framework.sources.document import Document, KeyPath, Place, load_document
from framework.sources.files import (
    CatalogFiles,
    EnvironmentFiles,
    count_files,
    environment_names,
    find_catalog,
    find_environment,
    name_faults,
)
from framework.sources.scalars import may_be_secret

__all__ = [
    "CatalogFiles",
    "Document",
    "EnvironmentFiles",
    "KeyPath",
    "Place",
    "count_files",
    "environment_names",
    "find_catalog",
    "find_environment",
    "load_document",
    "may_be_secret",
    "name_faults",
]
