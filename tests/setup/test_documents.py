"""Checks that the files that the documents name exist."""

from __future__ import annotations

import re

import pytest

from tests.shipped import ROOT

DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "docs/architecture.md",
    "docs/nightly.md",
]
FOLDERS = "framework|tests|tools|bench|docs|schemas|deploy|.github"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_paths_in_documents_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    # Names such as catalog/<model>.yaml are placeholders, and *.yaml are patterns.
    paths = re.findall(rf"(?<![\w/<])(?:{FOLDERS})/[\w./-]*[\w/](?![\w*<])", text)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
