"""Fetches the plan file of the pull request that a commit of the main branch merged.

The pull-request workflow attached it to its run as an artifact, `plan-<environment>-<commit>`, by
the head commit of the pull request. A squash merge makes another commit, so the pull request is
looked up. Usage: fetch-plan.py ENVIRONMENT FILE. Exits with 1 and one line where there is no plan.

It uses only the standard library, as github_api.py does. It reads the variables GITHUB_API_URL,
GITHUB_REPOSITORY, GITHUB_SHA and GITHUB_TOKEN.
"""

from __future__ import annotations

import io
import json
import os
import sys
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

_SECONDS = 30


def fetch(url: str) -> bytes:
    """Returns the answer of the GitHub API. Raises OSError."""
    call = urllib.request.Request(
        url,
        headers={
            "Accept": "application/vnd.github+json",
            "User-Agent": "modelcatalog",
            "X-GitHub-Api-Version": "2022-11-28",
        },
    )
    # Not sent on to the storage that an artifact's address redirects to: it refuses such a header.
    call.add_unredirected_header("Authorization", f"Bearer {os.environ['GITHUB_TOKEN']}")
    with urllib.request.urlopen(call, timeout=_SECONDS) as response:
        return bytes(response.read())


def find_head(repository: str, commit: str) -> str:
    """Returns the head commit of the pull request that was merged as a commit. LookupError."""
    for pull in json.loads(fetch(f"{repository}/commits/{commit}/pulls")):
        if pull["merged_at"] and pull["merge_commit_sha"] == commit:
            return str(pull["head"]["sha"])
    raise LookupError(f"commit {commit[:7]} is not the merge of a pull request")


def find_artifact(repository: str, name: str) -> dict[str, Any]:
    """Returns the newest artifact of a name. LookupError where there is none any more."""
    found = json.loads(fetch(f"{repository}/actions/artifacts?name={name}&per_page=100"))
    kept = [artifact for artifact in found["artifacts"] if not artifact["expired"]]
    if not kept:
        raise LookupError(f"no run has attached {name}, or it has expired")
    newest: dict[str, Any] = max(kept, key=lambda artifact: str(artifact["created_at"]))
    return newest


def main(environment: str, path: str) -> int:
    """Writes the plan of an environment to `path`. Returns the exit code."""
    api = os.environ["GITHUB_API_URL"].rstrip("/")
    repository = f"{api}/repos/{os.environ['GITHUB_REPOSITORY']}"
    try:
        head = find_head(repository, os.environ["GITHUB_SHA"])
        artifact = find_artifact(repository, f"plan-{environment}-{head}")
        archive = zipfile.ZipFile(io.BytesIO(fetch(artifact["archive_download_url"])))
        Path(path).write_bytes(archive.read("plan.json"))
    except (LookupError, OSError, zipfile.BadZipFile) as error:
        # Only the reason: the request contains the token.
        sys.stdout.write(f"no plan of {environment} was reviewed: {error}\n")
        return 1
    sys.stdout.write(f"{artifact['name']}, attached {artifact['created_at']}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
