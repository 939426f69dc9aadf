"""The live page: who is answered, what the script is told, and how a run ends that its page stops."""

import http.client
import json
import re
from dataclasses import replace

import pytest

from raresim.errors import ConfigError
from raresim.report import live as pages
from raresim.shell import live
from raresim.shell.progress import Both, Forecast
from tests.run.test_clock import experiment

REFUSED = [
    ("GET", "/", {}, 403, "needs the token"),
    ("GET", "/wrong/", {}, 403, "needs the token"),
    ("GET", "/wrong/state", {}, 403, "needs the token"),
    ("POST", "/stop", {}, 403, "needs the token"),
    ("GET", "{token}", {"Host": "evil.example:{port}"}, 403, "another host"),
    ("GET", "{token}state", {"Host": "127.0.0.1"}, 403, "another host"),
    ("POST", "{token}stop", {"Origin": "http://evil.example"}, 403, "another site"),
    ("POST", "{token}stop", {"Origin": "null"}, 403, "another site"),
    ("GET", "{token}stop", {}, 405, "no such page"),
    ("POST", "{token}", {}, 405, "only a stop is posted"),
    ("POST", "{token}state", {}, 405, "only a stop is posted"),
    ("GET", "{token}../../etc/passwd", {}, 404, "no such page"),
    ("PUT", "{token}stop", {}, 501, ""),
]


@pytest.fixture
def server():
    with live.serving("<b>book</b>", "cross_entropy", 1, 0) as server:
        yield server
        server.board.seen_at = -live.RECENT  # nobody waits for the end


def asked(server, verb, path, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.request(verb, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def state(server):
    return json.loads(asked(server, "GET", f"/{server.token}/state")[2])


@pytest.mark.parametrize(("verb", "path", "headers", "status", "why"), REFUSED)
def test_others_are_refused(server, verb, path, headers, status, why):
    path = path.format(token=f"/{server.token}/")
    given = {name: text.format(port=server.server_port) for name, text in headers.items()}
    found, _, text = asked(server, verb, path, given)
    assert (found, why in text) == (status, True)
    assert server.token not in text
    assert not server.board.live.is_stopping


def test_page_has_nothing_from_elsewhere_and_escapes_the_name(server):
    status, headers, text = asked(server, "GET", f"/{server.token}/", {"Host": f"localhost:{server.server_port}"})
    assert status == 200
    assert "&lt;b&gt;book&lt;/b&gt;" in text
    assert "<b>book" not in text
    assert re.findall(r"(?:src|href)=\S+", text) == ['href="data:,">']
    assert "http" not in text
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert headers["Cache-Control"] == "no-store"


def test_server_listens_on_this_machine_alone(server):
    assert server.socket.getsockname()[0] == "127.0.0.1"
    assert len(server.token) >= 22  # 128 bits


def test_stop_is_told_to_the_run_and_to_the_page(server):
    assert state(server)["phase"] == "running"
    assert (
        asked(server, "POST", f"/{server.token}/stop", {"Origin": f"http://127.0.0.1:{server.server_port}"})[0] == 200
    )
    assert server.board.live.is_stopping
    found = state(server)
    assert (found["phase"], found["message"]) == ("stopping", live.SEARCHING)


def test_state_follows_a_run(server, seed, monkeypatch):
    monkeypatch.setattr(live, "EVERY", 0.0)
    board, told, states = server.board, [], []
    board.expects(Forecast(search=0, estimate=20_000))

    def report(stage, done, total, note):
        told.append(stage)
        if stage == "estimate":
            states.append(board.state())

    first = state(server)
    assert (first["stage"], first["result"], first["evaluations"]) == ("starting", None, "0")
    result = experiment(seed(4321), relative_error=0.02).run(report=Both(board, report), live=board.live)
    during = [each for each in states if each["result"]]
    assert during[-1]["stage"].startswith("estimate: relative error ")
    assert during[-1]["result"]["status"] == "caution"
    assert during[-1]["result"]["reasons"][0] == pages.NOT_AUDITED
    assert not any("interrupted" in reason for reason in during[-1]["result"]["reasons"])
    board.finish(result)
    found = state(server)
    assert (found["phase"], found["result"]["status"]) == ("finished", "trusted")
    assert found["result"]["numbers"][0][0] == "P(loss >= 1)"
    board.end("Its report: somewhere")
    found = state(server)
    assert (found["phase"], found["done"], found["message"]) == ("over", 1.0, "Its report: somewhere")
    assert board.last_seen.is_set()


def test_page_shows_so_many_numbers_and_counts_the_others(seed):
    result = experiment(seed(4322), relative_error=0.1).run()
    (one,) = result.estimates
    many = replace(result, estimates=(replace(one, asked=False, label="added"), *[one] * (pages.MOST_ROWS + 1)))
    found = pages.facts(many, goes_on=False)
    assert (len(found["numbers"]), found["more"]) == (pages.MOST_ROWS, 2)
    assert found["numbers"][0][0] != "added"


def test_port_that_cannot_be_used_is_named(server):
    with (
        pytest.raises(
            ConfigError, match=rf"--port: {server.server_port} cannot be used: Address already in use; without"
        ),
        live.serving("other", "crude", 1, server.server_port),
    ):
        pass
    with (
        pytest.raises(ConfigError, match="--port: must be at most 65,535, got 70,000"),
        live.serving("a", "b", 1, 70_000),
    ):
        pass
