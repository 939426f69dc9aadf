"""The live page of a run: served on this machine alone, to whoever has the address that the run printed.

Three defences keep others out. The server listens on 127.0.0.1; the address holds a token of 128 random bits; and a
request must name this server as its host, so that a page of another site, whose name was made to lead here, is refused.
"""

from __future__ import annotations

import hmac
import json
import secrets
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from raresim.errors import ConfigError
from raresim.report import live as pages
from raresim.run.live import Live
from raresim.shell.progress import Course, Forecast

if TYPE_CHECKING:
    from raresim.record.outcome import Outcome

ADDRESS, LAST_PORT = "127.0.0.1", 65535

EVERY, SHARE = 1.0, 0.05
"""Seconds between two readings of the estimate so far, and the largest share of the time that they may take."""

RECENT, LAST = 3.0, 3.0
"""A page is open if it asked so many seconds ago; when a run is over, an open page is waited for so many seconds."""

TIMEOUT = 10.0
"""Seconds after which a connection that sends nothing is closed."""

STOPPING = "The run was asked to stop: it ends with the rows that are done, and with its audit."
SEARCHING = "The run was asked to stop: it ends when its search is finished, with the first rows of its estimate."


class Board:
    """What the page shows: told by the run, read by the server, each in a thread of its own.

    ``farewell`` is what a run says that ended well.
    """

    def __init__(self) -> None:
        self.live = Live()
        self.seen_at = -RECENT
        self.last_seen = threading.Event()
        self.farewell = "The run is over."
        self._course = Course()
        self._lock, self._reading = threading.Lock(), threading.Lock()
        self._result: dict[str, Any] | None = None
        self._due = 0.0
        self._over, self._message = False, ""

    def expects(self, expected: Forecast) -> None:
        """Take the prediction of the run."""
        with self._lock:
            self._course.expected = expected

    def __call__(self, stage: str, done: int, total: int, note: str) -> None:
        """Take the progress of the run."""
        with self._lock:
            self._course.hear(stage, done, total, note)

    def finish(self, outcome: Outcome) -> None:
        """Take the result; figures and page are still to be drawn."""
        found = pages.facts(outcome, goes_on=False)
        with self._reading:
            self._due, self._result = float("inf"), found
        self._message = "The run is finished. Its figures and its report are being drawn."

    def end(self, message: str) -> None:
        """Record how the run ended."""
        self._over, self._message = True, message

    def state(self) -> dict[str, Any]:
        """What the page's script asks for."""
        over, found, stopping = self._over, self._so_far(), self.live.is_stopping
        with self._lock:
            course = self._course
            stage = f"{course.stage}: {course.note}" if course.note else course.stage
            facts = {
                "stage": stage,
                "done": course.share(),
                "share": f"{course.share():.0%}",
                "rate": course.speed() or "not known yet",
                "time": course.time(),
                "left": course.left().replace(" left", "", 1) or "not known yet",
                "evaluations": found["evaluations"] if found else f"{course.rows:,}",
            }
        if self._due == float("inf"):
            facts |= {"stage": "finished", "done": 1.0, "share": "100%", "rate": "none", "left": "none"}
        waiting = (STOPPING if found else SEARCHING) if stopping else ""
        phase = "over" if over else "finished" if self._due == float("inf") else "stopping" if stopping else "running"
        self.seen_at = time.monotonic()
        if over:
            self.last_seen.set()
        return {**facts, "phase": phase, "message": self._message or waiting, "result": found}

    def _so_far(self) -> dict[str, Any] | None:
        """The numbers so far, read again where they are old; the rows go on meanwhile."""
        with self._reading:
            begun = time.monotonic()
            if begun >= self._due:
                try:
                    outcome = self.live.so_far()
                except (ArithmeticError, ValueError):  # too few rows for a number
                    outcome = None
                self._result = None if outcome is None else pages.facts(outcome, goes_on=True)
                ended = time.monotonic()
                self._due = ended + max(EVERY, (ended - begun) / SHARE)
            return self._result


class Server(ThreadingHTTPServer):
    """Answers for one run, on the loopback interface; ``url`` is the address of its page."""

    daemon_threads = True

    def __init__(self, board: Board, page: pages.Page, port: int) -> None:
        super().__init__((ADDRESS, port), _Handler)
        self.board, self.page = board, page
        self.token = secrets.token_urlsafe(16)
        self.hosts = {f"{name}:{self.server_port}" for name in (ADDRESS, "localhost")}
        self.url = f"http://{ADDRESS}:{self.server_port}/{self.token}/"

    def server_bind(self) -> None:
        """Bind without looking up a name for the address, which may take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = ADDRESS, int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A reader that hangs up is no error of the run."""


class _Handler(BaseHTTPRequestHandler):
    """A request for the page, its state, or a stop."""

    server: Server
    server_version, sys_version = "raresim", ""
    timeout = TIMEOUT

    def do_GET(self) -> None:
        what = self._wanted()
        if what == "":
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", self.server.page.html)
        elif what == "state":
            self._answer(HTTPStatus.OK, "application/json", json.dumps(self.server.board.state()).encode())
        elif what is not None:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED if what == "stop" else HTTPStatus.NOT_FOUND, "no such page")

    def do_POST(self) -> None:
        what = self._wanted()
        if what == "stop":
            self.server.board.live.stop()
            self._answer(HTTPStatus.OK, "application/json", b"{}")
        elif what is not None:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "only a stop is posted")

    def _wanted(self) -> str | None:
        """What is asked for below the token; None where the request was refused."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        _, token, *rest = [*self.path.split("/", 2), ""][:3]
        if host not in self.server.hosts or (origin is not None and origin.removeprefix("http://") != host):
            self._refuse(HTTPStatus.FORBIDDEN, "the request is for another host, or from another site")
        elif not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "the address needs the token that the run printed")
        else:
            return rest[0]
        return None

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._answer(status, "text/plain; charset=utf-8", f"{status.phrase}: {why}\n".encode())

    def _answer(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Content-Security-Policy": self.server.page.policy,
            "Cache-Control": "no-store",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Requests are not logged: they hold the token."""


@contextmanager
def serving(name: str, method: str, seed: int, port: int) -> Iterator[Server]:
    """Serve the live page of a run inside; afterwards an open page has heard how the run ended.

    Raises
    ------
    ConfigError
        When the port cannot be used; 0 stands for any that is free.
    """
    if not 0 <= port <= LAST_PORT:
        raise ConfigError(f"--port: must be at most {LAST_PORT:,}, got {port:,}")
    try:
        server = Server(Board(), pages.page(name, method, seed), port)
    except OSError as error:
        raise ConfigError(
            f"--port: {port} cannot be used: {error.strerror}; without --port a free one is taken"
        ) from None
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="raresim-live", daemon=True)
    thread.start()
    board = server.board
    try:
        yield server
        board.end(board.farewell)
    except BaseException:
        board.end("The run was interrupted, or ended with an error. The terminal says which.")
        raise
    finally:
        if time.monotonic() - board.seen_at < RECENT:
            board.last_seen.wait(LAST)
        server.shutdown()
        server.server_close()
