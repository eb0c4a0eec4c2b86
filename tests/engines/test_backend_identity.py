"""A plan file names the backend of its state, however a job logs in to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.engines.project import Project


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("s3://states?region=eu-1&profile=plan", "s3://states?profile=deploy&region=eu-1", True),
        ("s3://states?profile=plan", "s3://states", True),
        ("s3://states?region=eu-1", "s3://states?region=eu-2", False),
        ("s3://states?endpoint=a.example.com", "s3://states?endpoint=b.example.com", False),
        ("s3://states/a?profile=p", "s3://states/b?profile=p", False),
        ("gs://states?access_id=a&private_key_path=/k", "gs://states?anonymous=true", True),
        ("azblob://states?storage_account=a", "azblob://states?storage_account=b", False),
        ("postgres://a:b@h/db?sslmode=require", "postgres://c@h/db?sslmode=disable", True),
        ("postgres://h/db?user=plan&passfile=/p", "postgres://h/db?user=deploy", True),
        ("postgres://h/db?application_name=ci&connect_timeout=5", "postgres://h/db", True),
        ("postgres://h/db?table=a", "postgres://h/db?table=b", False),
        ("postgres://h/db?search_path=a", "postgres://h/db?search_path=b", False),
        ("s3://b?endpoint=https://id:secret@minio", "s3://b?endpoint=https://minio", True),
    ],
)
def test_backends_with_other_credentials_are_the_same(first: str, second: str, same: bool) -> None:
    def identify(url: str) -> str:
        return Project(Path(), "test", Path(), Path(), url).identify_backend()

    assert (identify(first) == identify(second)) == same
