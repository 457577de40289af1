"""A stretch of the network between two processes: it passes questions on, and keeps them.

It may lose an answer, and says when a question passes, so that somebody can die at it.
"""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER_SECONDS = 60.0


@dataclass(frozen=True)
class Exchange:
    """One question and its answer; status 0 where none came."""

    path: str
    question: bytes
    status: int
    answer: bytes


class Passage:
    """Listens on a free loopback port and passes on to `port`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._lock = threading.Condition()
        self._asked: Counter[str] = Counter()
        self._to_lose: Counter[str] = Counter()
        self._cut_after = ""
        self._cut = False
        self._passed: list[Exchange] = []
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Nothing passes any more."""
        self._server.shutdown()
        self._server.server_close()

    def lose(self, path: str) -> None:
        """The next good answer to `path` is kept here, and never arrives."""
        self._to_lose[path] += 1

    def cut_after(self, path: str) -> None:
        """The next good answer to `path` is lost, and nothing passes from then on."""
        self.lose(path)
        self._cut_after = path

    def join(self) -> None:
        """Everything passes again."""
        self._cut, self._cut_after = False, ""

    def asked(self, path: str) -> int:
        """How many questions of this kind have begun to pass."""
        return self._asked[path]

    def wait_for(self, path: str, count: int, seconds: float) -> bool:
        """Whether `count` questions of this kind have begun to pass, within `seconds`."""
        with self._lock:
            return self._lock.wait_for(lambda: self._asked[path] >= count, seconds)

    def answered(self, path: str) -> list[Exchange]:
        """The questions of this kind that got a good answer, lost or not."""
        with self._lock:
            return [one for one in self._passed if one.path == path and one.status == 200]

    def ask(self, path: str, question: bytes) -> Exchange:
        """Put a question as if it had come from the other side."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS)
        try:
            connection.request("POST", path, question, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return Exchange(path, question, answer.status, answer.read())
        except (OSError, http.client.HTTPException):
            return Exchange(path, question, 0, b"")  # it died, or is not up
        finally:
            connection.close()

    def carry(self, path: str, question: bytes) -> Exchange | None:
        """Pass one question on; None when its answer is lost on the way back."""
        with self._lock:
            self._asked[path] += 1
            self._lock.notify_all()
            if self._cut:
                return None
        made = self.ask(path, question)
        with self._lock:
            self._passed.append(made)
            lost = made.status == 200 and self._to_lose[path] > 0
            self._to_lose[path] -= lost
            self._cut = self._cut or (lost and path == self._cut_after)
        return None if lost or not made.status else made


def _handler_of(passage: Passage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            made = passage.carry(self.path, self.rfile.read(length))
            if made is None:
                self.close_connection = True
                return
            with suppress(OSError):  # who asked may be dead by now
                self.send_response(made.status)
                self.send_header("Content-Length", str(len(made.answer)))
                self.end_headers()
                self.wfile.write(made.answer)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
