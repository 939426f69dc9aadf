"""Questions to a server that answers in JSON over HTTP: by the standard library, with a deadline, without proxies."""

from __future__ import annotations

import http.client
import json
import select
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from raresim.errors import FieldError
from raresim.losses.stopping import Stop

STEP = 0.1
"""Seconds between two looks at whether an answer is still wanted."""

CHUNK = 65_536
"""Bytes that are read of an answer at once."""


class NoAnswerError(Exception):
    """The server cannot be reached, broke off, or was not waited for any longer."""


class LateError(NoAnswerError):
    """The answer did not come in time."""


class UnreadableError(Exception):
    """The answer is not JSON."""


@dataclass(frozen=True)
class Server:
    """A server at ``url``; each question has a connection of its own, so that threads may ask at the same time."""

    url: str

    def ask(self, path: str, question: Mapping[str, Any] | None, timeout: float | None, stop: Stop) -> tuple[int, Any]:
        """Status and JSON of the answer to a POST of ``question``, or to a GET where it is None.

        Parameters
        ----------
        path : str
            Below the server's URL, ``/Info``.
        question : mapping or None
            Sent as JSON.
        timeout : float or None
            Seconds that the answer may take.
        stop : Stop
            Set when nobody waits for the answer any more.

        Raises
        ------
        NoAnswerError
            When the server cannot be reached, breaks off, or is late (`LateError`), or ``stop`` is set.
        UnreadableError
            When the answer is not JSON.
        """
        until = None if timeout is None else time.monotonic() + timeout
        connection = self._connection(timeout)
        try:
            body = None if question is None else json.dumps(question)
            headers = {"Content-Type": "application/json", "Connection": "close"}
            connection.request("GET" if question is None else "POST", self._at.path.rstrip("/") + path, body, headers)
            _wait(connection, until, stop)
            response = connection.getresponse()
            content = b""
            while chunk := response.read1(CHUNK):
                content += chunk
                _left(until)
        except TimeoutError:
            raise LateError(f"{self.url} gave no answer within {timeout:g} s") from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise NoAnswerError(f"no answer from {self.url}: {why}") from None
        finally:
            connection.close()
        try:
            return response.status, json.loads(content)
        except ValueError:
            shown = content[:60].decode("utf-8", errors="replace")
            raise UnreadableError(f"{self.url}{path} answered with status {response.status}: {shown!r}") from None

    @property
    def _at(self) -> SplitResult:
        return urlsplit(self.url)

    def _connection(self, timeout: float | None) -> http.client.HTTPConnection:
        at = self._at
        kind = http.client.HTTPSConnection if at.scheme == "https" else http.client.HTTPConnection
        return kind(at.hostname or "", at.port, timeout=timeout)


def checked_url(field: str, given: str) -> str:
    """``given`` without a slash at its end; raises `FieldError` unless it is ``http://host:port`` or below it."""
    try:
        at = urlsplit(given)
        is_url = at.scheme in ("http", "https") and bool(at.hostname) and (at.port is None or at.port > 0)
    except ValueError:
        is_url = False
    if not is_url or at.query or at.fragment or at.username:
        raise FieldError(field, f"must be a URL such as http://localhost:4242, got {given!r}")
    return given.rstrip("/")


def _wait(connection: http.client.HTTPConnection, until: float | None, stop: Stop) -> None:
    """Wait for the first byte of the answer; raises `TimeoutError` when it is late, `NoAnswerError` at ``stop``."""
    while not select.select([connection.sock], [], [], min(STEP, _left(until)))[0]:
        if stop.is_set():
            raise NoAnswerError("was stopped")


def _left(until: float | None) -> float:
    """Seconds until then; raises `TimeoutError` if they are over."""
    left = STEP if until is None else until - time.monotonic()
    if left <= 0.0:
        raise TimeoutError
    return left
