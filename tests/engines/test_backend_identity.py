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
        ("postgres://a:p@ss@h/db", "postgres://b:q@rt@h/db", True),
        (
            "s3://b?endpoint=https%3A%2F%2Fid%3Ase%40cret%40minio",
            "s3://b?endpoint=https://minio",
            True,
        ),
        ("s3://b?endpoint=id:se@cret@minio", "s3://b?endpoint=minio", True),
        ("s3://b?prefix=a@x/", "s3://b?prefix=b@x/", False),
        ("s3://b/a@x", "s3://b/b@x", False),
        ("s3://b?prefix=a%26region%3Db", "s3://b?prefix=a&region=b", False),
        ("postgres://h/db?%75ser=a", "postgres://h/db", True),
    ],
)
def test_backends_with_other_credentials_are_the_same(first: str, second: str, same: bool) -> None:
    first, second = (build_project(url).identify_backend() for url in (first, second))
    assert (first == second) == same


@pytest.mark.parametrize(
    "url",
    [
        "postgres://deploy:secret@h/db?sslmode=require",
        "postgres://deploy:p@secret@h/db",
        "s3://b?endpoint=https://key:secret@h",
        "s3://b?endpoint=https%3A%2F%2Fkey%3Ap%40secret%40h",
        "s3://b?endpoint=key:secret@h",
        "postgres://h/db?password=secret&pass%77ord=secret",
    ],
)
def test_backend_is_named_without_its_password(url: str) -> None:
    project = build_project(url)
    assert "secret" not in project.identify_backend() + project.describe_backend()


def build_project(url: str) -> Project:
    return Project(Path(), "test", Path(), Path(), url)
