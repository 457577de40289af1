"""What a browser does with the pages, over loopback: signs in, asks, follows what is live."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import http.cookiejar
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import MeasurementFailed
from benchmarks.ordinary import failed

_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')
# What a page makes a browser fetch before it is complete.
_FILES = re.compile(r'(?:src|href)="(/assets/[^"]+)"')
_TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 60.0  # seconds for one answer


@dataclass(frozen=True)
class Visitor:
    """Somebody signed in at the pages of one process."""

    host: str
    cookie: str
    process: subprocess.Popen[str]

    def seconds(self, path: str) -> float:
        """How long the page at `path` takes from asking to its last byte."""
        started = time.perf_counter()
        self.get(path)
        return time.perf_counter() - started

    def get(self, path: str) -> bytes:
        """The body at `path`. Raises MeasurementFailed for any answer but 200."""
        return self._ask(path)[0]

    def weight(self, path: str) -> int:
        """Bytes of the page and everything it loads, as they are sent to a browser at first.

        The page itself, which our server sends plain, is counted as a proxy packs it.
        """
        page, packed = self._ask(path)
        total = len(page if packed else gzip.compress(page, 6))
        for name in sorted(set(_FILES.findall(page.decode()))):
            body, packed = self._ask(name)
            total += len(body)
        return total

    def cpu(self) -> float:
        """Processor seconds that the server has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    async def follow(self, path: str, frames: list[int], mine: int) -> None:
        """Read the live part at `path` until cancelled, counting its messages in `frames[mine]`."""
        name, _, port = self.host.partition(":")
        reader, writer = await asyncio.open_connection(name, int(port))
        try:
            head = f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\nCookie: {self.cookie}\r\n\r\n"
            writer.write(head.encode())
            while data := await reader.read(65_536):
                frames[mine] += data.count(b"\nid: ") + data.startswith(b"id: ")
        finally:
            writer.close()

    def _ask(self, path: str) -> tuple[bytes, bool]:
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        try:
            wanted = {"Cookie": self.cookie, "Accept-Encoding": "gzip", "Accept": "text/html"}
            connection.request("GET", path, headers=wanted)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.HTTPStatus.OK:
                raise MeasurementFailed(f"{path} answered {answer.status}")
            return body, answer.getheader("Content-Encoding") == "gzip"
        finally:
            connection.close()


@contextmanager
def visiting(folder: Path, *, changing: str = "") -> Iterator[Visitor]:
    """Pages over the state in `folder` in a process of their own, and somebody signed in there."""
    complaints = folder.parent / f"{folder.name}.log"
    with (
        complaints.open("w+") as said,
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.pages_server", str(folder), changing],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise failed("benchmarks.pages_server", complaints.read_text())
            answer = json.loads(line)
            yield Visitor(*_signed_in(answer["address"], answer["token"]), process)
        finally:
            process.stdin.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _signed_in(address: str, token: str) -> tuple[str, str]:
    """The host of the pages, and the cookies of somebody who redeemed `token` there."""
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    page = browser.open(f"{address}/sign-in").read().decode()
    found = _TOKEN.search(page)
    assert found is not None
    form = urllib.parse.urlencode({"csrf": found[1], "token": token, "next": "/"}).encode()
    own = {"Origin": address, "Sec-Fetch-Site": "same-origin"}
    browser.open(urllib.request.Request(f"{address}/sign-in", form, own))  # noqa: S310
    cookies = "; ".join(f"{one.name}={one.value}" for one in jar)
    return urllib.parse.urlsplit(address).netloc, cookies
