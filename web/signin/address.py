"""Where the site is: the configured public address, and what follows from it.

Never taken from a request: `Host` and `X-Forwarded-Proto` are whatever a client or a proxy says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from web.signin.errors import ConfigurationRefused

_PORTS = {"https": 443, "http": 80}
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True)
class PublicAddress:
    """`https://host[:port]`, or http where host is this very machine."""

    scheme: str
    host: str  # lower case; IPv6 in brackets
    port: int

    @classmethod
    def parse(cls, text: str) -> PublicAddress:
        """The address in `text`. Raises ConfigurationRefused, never for want of a final slash."""
        parts, host, port = split_address(text)
        if parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise ConfigurationRefused(
                f"{text[:100]!r} is no public address: it is a scheme, a host and perhaps a port"
            )
        return cls(parts.scheme, host, port)

    @property
    def secure(self) -> bool:
        """Whether browsers reach it over TLS."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """What a request's Host header says."""
        return self.host if self.port == _PORTS[self.scheme] else f"{self.host}:{self.port}"

    @property
    def origin(self) -> str:
        """What a request's Origin header says."""
        return f"{self.scheme}://{self.authority}"

    def url(self, path: str) -> str:
        """The whole address of a local path."""
        return self.origin + path


def split_address(text: str) -> tuple[SplitResult, str, int]:
    """The parts of an https address, or of an http one of this machine; its host and its port.

    Raises ConfigurationRefused, also for user names and for letters that hosts don't have.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigurationRefused(f"{text[:100]!r} is no address") from error
    written = f"[{host}]" if ":" in host else host
    if (
        parts.scheme not in _PORTS
        or not (_NAME.fullmatch(host) or _numeric(host))
        or "@" in parts.netloc
        or text != text.strip()
        or not text.isascii()
        or "\\" in text
    ):
        raise ConfigurationRefused(f"{text[:100]!r} is no http address of a host")
    if parts.scheme == "http" and not loopback(host):
        raise ConfigurationRefused(
            f"{text[:100]!r} is not protected: only addresses of this machine go without https"
        )
    return parts, written, port or _PORTS[parts.scheme]


def loopback(host: str) -> bool:
    """Whether `host` can only be this machine."""
    return host == "localhost" or (_numeric(host) and ip_address(host).is_loopback)


def _numeric(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
