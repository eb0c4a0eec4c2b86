"""An S3 server on loopback, built from the Go module in tools/s3; it keeps a bucket in memory."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from framework.builds.binaries import Binaries, Program
from framework.builds.modules import load_module
from framework.core.user_cache import cache_directory
from tests.shipped import ROOT

_BUCKET = "states"


@dataclass(frozen=True)
class Bucket:
    """A bucket of a running server; `address` is `127.0.0.1:port`."""

    address: str

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which a verb keeps its state in this bucket."""
        options = f"endpoint=http://{self.address}&s3ForcePathStyle=true&disableSSL=true"
        return {
            "PULUMI_BACKEND_URL": f"s3://{_BUCKET}?region=us-east-1&{options}",
            "AWS_ACCESS_KEY_ID": "any",
            "AWS_SECRET_ACCESS_KEY": "any",
        }

    def read(self, key: str) -> str:
        """Returns the text of an object."""
        with urllib.request.urlopen(self._url(key), timeout=10) as answer:
            return str(answer.read().decode())

    def write(self, key: str, text: str) -> None:
        """Writes an object."""
        call = urllib.request.Request(self._url(key), data=text.encode(), method="PUT")
        urllib.request.urlopen(call, timeout=10).close()

    def delete_all(self, prefix: str) -> None:
        """Deletes the objects whose key has this prefix."""
        with urllib.request.urlopen(self._url(f"?prefix={prefix}"), timeout=10) as answer:
            keys = re.findall(r"<Key>([^<]+)</Key>", answer.read().decode())
        for key in keys:
            call = urllib.request.Request(self._url(key), method="DELETE")
            urllib.request.urlopen(call, timeout=10).close()

    def _url(self, key: str) -> str:
        return f"http://{self.address}/{_BUCKET}/{key}"


@contextmanager
def start_s3() -> Iterator[Bucket]:
    """Builds the server, once per user, and runs it. BuildError."""
    module = load_module(ROOT / "tools" / "s3")
    program = Program("s3", ".")
    binaries = Binaries(module, (program,), cache_directory(), "s3", "make test", "a minute")
    binaries.build(lambda progress: None)
    command = [str(binaries.path("s3")), _BUCKET]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield Bucket(process.stdout.readline().strip())
        finally:
            process.kill()
