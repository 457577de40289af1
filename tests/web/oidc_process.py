"""npm's `oidc-provider` on loopback, and a person who signs in at it.

The packages are installed once, by `npm ci` from the lock file, into the user's cache folder. On a
machine without node the tests are skipped and say so; CI has it, and there that is a failure.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import pytest

SOURCE = Path(__file__).parent / "oidc_provider"
FILES = ("package.json", "package-lock.json", ".npmrc", "provider.mjs")
INSTALL_SECONDS, START_SECONDS = 300, 60
PEOPLE: dict[str, dict[str, Any]] = {
    "ada": {"name": "Ada Lovelace", "groups": ["grid-operators", "everybody"]},
    "bea": {"name": "Béa", "groups": ["grid-auditors"]},
    "nobody": {"name": "Nemo", "groups": ["everybody"]},
}


def installed() -> Path:
    """The folder with the script and its packages; skips or fails the test without them."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        _missing("node and npm are not installed: apt-get install nodejs npm")
    mark = hashlib.sha256(b"".join((SOURCE / name).read_bytes() for name in FILES)).hexdigest()
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cadastre-tests"
    folder = root / f"oidc-provider-{mark[:16]}"
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as temporary:
        made = Path(temporary) / "made"
        made.mkdir()
        for name in FILES:
            shutil.copy(SOURCE / name, made / name)
        done = subprocess.run(
            ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
            cwd=made,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
        if done.returncode:
            _missing(f"npm ci failed: {done.stderr.strip().splitlines()[-1:]}")
        try:
            made.rename(folder)
        except OSError:
            assert folder.is_dir()  # another run of the tests was quicker
    return folder


def _missing(why: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@dataclass
class Provider:
    """A running provider."""

    process: subprocess.Popen[bytes]
    issuer: str

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)
        assert self.process.stdout is not None
        self.process.stdout.close()


def start(redirect: str, left: str, **wanted: Any) -> Provider:
    """A provider for one client, listening."""
    options = {"client_id": "cadastre", "redirect_uri": redirect, "left_uri": left, **wanted}
    options["people"] = PEOPLE
    process = subprocess.Popen(
        ["node", "provider.mjs", json.dumps(options)],
        cwd=installed(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    line = process.stdout.readline().decode().strip() if ready else ""
    assert line.startswith("http://127.0.0.1:"), "the provider did not start"
    return Provider(process, line)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


@dataclass
class Visitor:
    """Somebody's browser at the provider: cookies kept, its forms filled in."""

    name: str
    jar: CookieJar = field(default_factory=lambda: CookieJar(DefaultCookiePolicy()))

    def follow(self, url: str, ours: str) -> str:
        """From an address of the provider through its forms to the first one below `ours`."""
        for _ in range(20):
            if url.startswith(ours):
                return url
            status, location, page = self._ask(url)
            if location:
                url = urljoin(url, location)
                continue
            assert status == 200, page
            url = urljoin(url, self._fill(url, page))
        raise AssertionError("the provider goes round in circles")

    def _fill(self, url: str, page: str) -> str:
        action = re.search(r'<form[^>]*action="([^"]+)"', page)
        assert action, page
        hidden = dict(re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', page))
        fields = {**hidden, "login": self.name, "password": "anything"}
        if "xsrf" in hidden:
            fields["logout"] = "yes"
        _, location, body = self._ask(urljoin(url, action[1]), urlencode(fields).encode())
        assert location, body
        return location

    def _ask(self, url: str, body: bytes | None = None) -> tuple[int, str, str]:
        opener = urllib.request.build_opener(
            _Stay(),
            urllib.request.HTTPCookieProcessor(self.jar),
            urllib.request.ProxyHandler({}),
        )
        try:
            with opener.open(url, body, timeout=30) as answer:
                return answer.status, "", answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers.get("location") or "", error.read().decode()
