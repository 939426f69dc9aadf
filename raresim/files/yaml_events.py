"""The events of a YAML text, within limits that act before the text can cost time or memory.

A few hundred bytes of YAML can stand for gigabytes, and some texts make a scanner slow. So the text itself is checked
for its length, the scanner checks the depth and the length of a value, and the events, each of which holds at most one
value, are checked for what a config may not contain.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, DocumentStartEvent, NodeEvent, ScalarEvent
from ruamel.yaml.scanner import Scanner

from raresim.errors import ConfigError

__all__ = ["MAX_ALIASES", "MAX_DEPTH", "MAX_KEY", "MAX_LINES", "MAX_NODES", "MAX_TEXT", "events"]

MAX_LINES = 20_000
MAX_TEXT = 10_000
MAX_KEY = 200
MAX_DEPTH = 32
MAX_NODES = 10_000
MAX_ALIASES = 100
"""Most lines, characters of a value and of a key, levels, keys and values in all, and uses of anchors (``*name``)."""

_STRAIGHT = re.compile(rf"[^\n,\[\]{{}}]{{{MAX_TEXT + 1}}}")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def events(text: str, source: str) -> Iterator[Any]:
    """The events of the one document in ``text``, one after the other.

    Parameters
    ----------
    text : str
        YAML 1.2.
    source : str
        The name with which messages start.

    Raises
    ------
    ConfigError
        When the text is not YAML, is above a limit, or has more than one document, a directive, a tag or a merge key.
        The message is one line, ``source:line:col: what is wrong``.
    """
    _check_text(text, source)
    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = _LimitedScanner
    nodes = aliases = 0
    try:
        for event in yaml.parse(text):
            if isinstance(event, NodeEvent):
                nodes += 1
                aliases += isinstance(event, AliasEvent)
                if nodes > MAX_NODES:
                    raise _refusal(source, event, f"more than {MAX_NODES:,} keys and values, which is the limit")
                if aliases > MAX_ALIASES:
                    raise _refusal(source, event, f"more than {MAX_ALIASES} aliases (*name), which is the limit")
            if problem := _misplaced(event, nodes):
                raise _refusal(source, event, problem)
            yield event
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        raise ConfigError(f"{source}{at}: {_first_line(error.problem or error)}") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: cannot be read as YAML: {_first_line(error)}") from None


def _check_text(text: str, source: str) -> None:
    n_lines = text.count("\n") + 1
    if n_lines > MAX_LINES:
        raise ConfigError(f"{source}: must have at most {MAX_LINES:,} lines, got {n_lines:,}")
    if found := _UNPRINTABLE.search(text):
        code = ord(found[0])
        raise ConfigError(f"{source}{_at(text, found.start())}: the control character U+{code:04X} is not allowed")
    if found := _STRAIGHT.search(text):
        raise ConfigError(
            f"{source}{_at(text, found.start())}: must have at most {MAX_TEXT:,} characters in one value or comment"
        )


def _at(text: str, place: int) -> str:
    return f":{text.count(chr(10), 0, place) + 1}:{place - text.rfind(chr(10), 0, place)}"


def _misplaced(event: Any, nodes: int) -> str:
    """The message about an event that a config may not have; empty where all is well."""
    if isinstance(event, DocumentStartEvent):
        if event.version not in (None, (1, 2)):
            return f"must be YAML 1.2, got a directive for {'.'.join(map(str, event.version))}"
        if event.tags:
            return "%TAG directives are not supported"
        return "must be one document, got a second one" if nodes else ""
    if getattr(event, "tag", None) is not None:
        return f"tags are not supported, got {_clipped(str(event.tag))}; leave it out"
    if isinstance(event, ScalarEvent):
        if len(event.value) > MAX_TEXT:
            return _too_long(len(event.value))
        if event.style is None and event.value == "<<":
            return "merge keys (<<) are not supported; write the values out"
    return ""


def _refusal(source: str, event: Any, message: str) -> ConfigError:
    mark = event.start_mark
    return ConfigError(f"{source}:{mark.line + 1}:{mark.column + 1}: {message}")


def _too_long(length: int) -> str:
    return f"must have at most {MAX_TEXT:,} characters in one value, got {length:,} or more"


def _first_line(problem: object) -> str:
    line = (str(problem).splitlines() or [type(problem).__name__])[0]
    return _clipped(f"{line}; indent with spaces, not with tabs" if "'\\t'" in line else line, 200)


def _clipped(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


class _LimitedScanner(Scanner):
    """Ruamel's scanner, which reads ahead of the events; it stops where a text is too deep or a value too long."""

    def fetch_more_tokens(self) -> Any:
        if len(self.flow_context) > MAX_DEPTH or len(self.indents) > MAX_DEPTH + 1:
            raise self._refusal(f"must be at most {MAX_DEPTH} levels deep, got more", self.reader.get_mark())
        return super().fetch_more_tokens()

    def need_more_tokens(self) -> bool:
        if self.tokens and not self.possible_simple_keys:  # called several times a token: saves a sixth of the time
            return False
        return bool(super().need_more_tokens())

    def fetch_value(self) -> None:
        key = self.possible_simple_keys.get(len(self.flow_context))
        if key is not None and self.reader.index - key.index > MAX_KEY + len("''"):
            raise self._refusal(f"a key must have at most {MAX_KEY} characters, got more", key.mark)
        super().fetch_value()

    def scan_plain_spaces(self, indent: Any, start_mark: Any) -> Any:
        self._check_length(start_mark)
        return super().scan_plain_spaces(indent, start_mark)

    def scan_flow_scalar_spaces(self, double: Any, start_mark: Any) -> Any:
        self._check_length(start_mark)
        return super().scan_flow_scalar_spaces(double, start_mark)

    def _check_length(self, start_mark: Any) -> None:
        length = self.reader.index - start_mark.index
        if length > 2 * MAX_TEXT:  # an escape or a fold takes more characters than it stands for
            raise self._refusal(_too_long(length), start_mark)

    @staticmethod
    def _refusal(message: str, mark: Any) -> MarkedYAMLError:
        return MarkedYAMLError(problem=message, problem_mark=mark)
