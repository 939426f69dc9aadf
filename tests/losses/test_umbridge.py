"""Losses behind a UM-Bridge server: what is asked, what is read, and how it fails."""

import pickle
import threading
import time

import numpy as np
import pytest

import raresim
from raresim import FieldError, LossError, Probability, StandardNormal, UMBridgeLoss
from raresim.config import load as configs
from raresim.errors import ConfigError
from raresim.losses.failures import collecting
from raresim.losses.rows import RowError
from raresim.losses.stopping import Stop
from tests.helpers import losses
from tests.umbridge_server import INFO, evaluated, serving, slowly

INPUTS = StandardNormal(dim=3)
ROWS = np.asfortranarray([[1.0, 2.0, 0.1], [9.0, 1.0, 1.0], [-1.0, 1e-300, 4.0]])
"""The second row is the one that fails in the tests of failures."""


def marked(answer):
    """Another answer to the row that is marked by a first factor of 9."""
    return lambda question: answer if question["input"][0][0] == 9.0 else evaluated(question)


def loss_at(server, **options):
    return UMBridgeLoss(url=server.url, **{"model": "forward", "output": 1, **options})


def test_rows_go_in_vectors_and_come_back_by_index():
    config = {"level": 2, "mesh": {"sizes": [0.5, "fine"]}}
    with serving() as server:
        for output, value in ((0, ROWS[:, 0] + ROWS[:, 1]), ([0, 2], [2.0] * 3)):
            bound = loss_at(server, output=output, config=config, parallel=2).bind(INPUTS)
            np.testing.assert_array_equal(losses(bound, ROWS), value)
        np.testing.assert_array_equal(losses(pickle.loads(pickle.dumps(bound)), ROWS), value)
        path, question = server.asked[3]
        assert (path, question["name"], question["config"]) == ("/Evaluate", "forward", config)
        assert sorted(q["input"] for p, q in server.asked[3:6]) == sorted([[*map(float, r[:2])], [r[2]]] for r in ROWS)


def test_a_run_asks_for_every_evaluation_once(tmp_path):
    """The rows that are evaluated again against noise come on top."""
    with serving() as server:
        (tmp_path / "run.yaml").write_text(
            "seed: 1\ninputs: {kind: standard_normal, dim: 3}\n"
            f"loss: {{kind: umbridge, url: '{server.url}', model: forward, output: 1, config: {{level: 1}}}}\n"
            "measures: [{kind: probability, above: 0}]\nmethod: {kind: crude}\nstop: {max_evaluations: 100}\n"
        )
        result = configs.load(tmp_path / "run.yaml").experiment().run()
        asked = [question for path, question in server.asked if path == "/Evaluate"]
    assert 100 < len(asked) <= 108
    assert 0.2 < result.estimates[0].value < 0.8
    same = raresim.estimate(
        3,
        lambda x: (x[:, 0] + x[:, 1]) * x[:, 2],
        Probability(above=0.0),
        method="crude",
        relative_error=0.01,
        max_evaluations=100,
        seed=1,
    )
    assert same.estimates[0].value == result.estimates[0].value


FAILING = {
    "raised": ({"error": {"type": "InvalidEvaluation", "message": "no mesh"}}, "answered InvalidEvaluation: no mesh"),
    "died": (None, "no answer from http://127.0.0.1:[0-9]*: "),
    "nan": ({"output": [[1.0, float("nan"), 0.0]]}, "returned nan"),
    "infinite": ({"output": [[1.0, float("inf"), 0.0]]}, "returned inf"),
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_row_that_fails_ends_the_run_or_is_bounded(kind):
    answer, words = FAILING[kind]
    with serving(Evaluate=marked(answer)) as server:
        with pytest.raises(LossError, match=rf"^loss forward at .*{words}.*; row 1, the scenario \[9. 1. 1.\]"):
            losses(loss_at(server).bind(INPUTS), ROWS)
        with collecting() as found:
            bounded = losses(loss_at(server, on_failure="bound").bind(INPUTS), ROWS)
    assert np.isnan(bounded).tolist() == [False, True, False]
    assert found.failures.by_kind == {kind: 1}


def test_a_row_that_fails_is_tried_again():
    answers = iter([None, {"error": "busy"}])
    with serving(Evaluate=lambda question: next(answers, evaluated(question))) as server:
        bound = loss_at(server, on_failure="retry", retries=2).bind(INPUTS)
        with collecting() as found:
            np.testing.assert_allclose(losses(bound, ROWS[:1]), [0.3])
    assert (found.failures.total, found.failures.retried) == (0, 1)


def test_a_model_that_takes_too_long_or_is_not_wanted_is_left():
    with serving(Evaluate=slowly) as server:
        bound = loss_at(server, timeout=0.3).bind(INPUTS)
        with pytest.raises(LossError, match=r"127.0.0.1:\d+ gave no answer within 0.3 s; row 0"):
            losses(bound, ROWS)
        stop, begun = Stop(), time.monotonic()
        threading.Timer(0.1, stop.set).start()
        with pytest.raises(RowError, match="was stopped"):
            loss_at(server).bind(INPUTS).of_row(ROWS[0], stop)
        assert time.monotonic() - begun < 1.9


WRONG = {
    "sizes": ({"output": [[1.0, 2.0]]}, r"must answer with vectors of \[3\], got vectors of \[2\]"),
    "no vectors": ({"output": [1.0, 2.0, 3.0]}, r"must answer with vectors of \[3\], got \{'output'"),
    "nothing": ({}, r"must answer with vectors of \[3\], got \{\}"),
    "a list": ([1], r"must answer with vectors of \[3\], got \[1\]"),
    "text": ({"output": [["a", "b", "c"]]}, "must answer with numbers, got 'b'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_answer_of_another_form_ends_a_bounded_run(case):
    answer, words = WRONG[case]
    with serving(Evaluate=lambda _: answer) as server, pytest.raises(LossError, match=words):
        losses(loss_at(server, on_failure="bound").bind(INPUTS), ROWS)


REFUSED = {
    "protocol": ({"Info": {**INFO, "protocolVersion": 0.9}}, {}, LossError, "must speak protocol 1.0 .* got 0.9"),
    "no JSON": (
        {"Info": "<html>"},
        {},
        LossError,
        "is no UM-Bridge server: .*/Info answered with status 200: '<html>'",
    ),
    "no mapping": ({"Info": [1]}, {}, LossError, r"is no UM-Bridge server: /Info answered 200: \[1\]"),
    "no model": ({}, {"model": "forwrd"}, FieldError, "model: unknown model of .* 'forwrd'; did you mean 'forward'?"),
    "no Evaluate": ({"ModelInfo": {"support": {"Gradient": True}}}, {}, FieldError, "model: must support Evaluate"),
    "error": ({"InputSizes": {"error": {"type": "x", "message": "y"}}}, {}, LossError, "/InputSizes answered x: y"),
    "no sizes": ({"InputSizes": {"inputSizes": 3}}, {}, LossError, "/InputSizes must answer with a list of whole"),
    "inputs": ({"InputSizes": {"inputSizes": [4]}}, {}, FieldError, r"takes 4 numbers, in vectors of \[4\], got 3 fac"),
    "several": ({}, {"output": None}, FieldError, r"output: must say which number is the loss: .* vectors of \[3\]"),
    "outside": ({}, {"output": 3}, FieldError, r"output: must be in the output, counted from 0, got \[0, 3\]"),
    "vectors": ({"OutputSizes": {"outputSizes": [1, 2]}}, {}, FieldError, r"output: must be \[vector, index\], got 1"),
    "three": ({}, {"output": [0, 1, 2]}, FieldError, r"output: must be an index or \[vector, index\], got \[0, 1, 2\]"),
    "below zero": ({}, {"output": -1}, FieldError, "output: must be at least 0, got -1"),
    "config": ({}, {"config": {"level": object()}}, FieldError, "config: must be plain data that JSON has"),
    "no number": ({}, {"config": {"level": float("nan")}}, FieldError, "config: must be plain data that JSON has"),
    "no URL": ({}, {"url": "localhost:4242"}, FieldError, "url: must be a URL such as http://localhost:4242, got 'lo"),
    "no server": (
        {},
        {"url": "http://127.0.0.1:9"},
        LossError,
        "no answer from http://127.0.0.1:9: .*; start the serv",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused(case):
    changed, options, kind, words = REFUSED[case]
    with serving(**changed) as server, pytest.raises(kind, match=words):
        UMBridgeLoss(**{"url": server.url, "model": "forward", "output": 1, **options}).bind(INPUTS)


def test_the_only_number_needs_no_index():
    one = {"outputSizes": [0, 1]}
    with serving(OutputSizes=one, Evaluate=lambda _: {"output": [[], [7]]}) as server:
        np.testing.assert_array_equal(losses(loss_at(server, output=None).bind(INPUTS), ROWS), [7.0] * 3)


def test_check_asks_no_server_and_reads_the_keys(tmp_path):
    text = "seed: 1\ninputs: {kind: standard_normal, dim: 3}\nmeasures: [{kind: probability, above: 0}]\n"
    text += "loss: {kind: umbridge, url: 'http://127.0.0.1:9', model: forward, output: [0, 1]}\n"
    (tmp_path / "run.yaml").write_text(text)
    configs.load(tmp_path / "run.yaml").outline()
    (tmp_path / "run.yaml").write_text(text.replace("http://", ""))
    with pytest.raises(ConfigError, match=r":4:24: loss.url: must be a URL such as"):
        configs.load(tmp_path / "run.yaml").outline()
