"""Several numbers of one program or server as limit states: which make the event, and what is refused."""

import numpy as np
import pytest

import raresim
from raresim import FieldError, LossError, Probability, ProgramLoss, ProgramOutput, StandardNormal, UMBridgeLoss
from raresim import UMBridgeOutput as At
from raresim.config import load as configs
from raresim.errors import ConfigError
from raresim.losses.failures import collecting
from tests.helpers import losses
from tests.umbridge_server import evaluated, serving

CODE = "import sys; a, b = map(float, sys.argv[1:]); print('sum', a + b); print('difference', a - b); print('b', b)"
COMMAND = ["${python}", "-I", "-S", "-c", CODE, "${x1}", "${x2}"]
INPUTS = StandardNormal(dim=2)
ROWS = np.asfortranarray([[0.0, 1.0], [9.0, 2.0], [-0.5, 3.0]])


def printed(word, **more):
    return ProgramOutput(pattern=f"^{word} (.*)$", name=word, **more)


THREE = [printed("sum"), printed("difference"), printed("b")]


def program(output, **options):
    return ProgramLoss(command=COMMAND, output=output, **options)


@pytest.mark.parametrize(
    ("system", "least"), [("any", 1), ("all", 3), ({"at_least": 2}, 2)], ids=["any", "all", "two of three"]
)
def test_a_system_of_outputs_is_the_kth_largest(system, least):
    loss = program(THREE, system=system).bind(INPUTS)
    a, b = ROWS.T
    states = np.column_stack([a + b, a - b, b])
    np.testing.assert_array_equal(loss.states(ROWS), states)
    np.testing.assert_array_equal(losses(loss, ROWS), np.sort(states, axis=1)[:, -least])
    assert loss.limit_state_names == ("sum", "difference", "b")
    assert loss.at_least == least
    assert not loss.has_threshold


def test_outputs_count_beyond_limits_of_their_own():
    loss = program([printed("sum", above=2.0, scale=4.0), printed("b", below=1.5)]).bind(INPUTS)
    a, b = ROWS.T
    np.testing.assert_array_equal(loss.states(ROWS), np.column_stack([(a + b - 2.0) / 4.0, 1.5 - b]))
    assert loss.has_threshold
    assert loss.describe()[1:] == [
        "sum is the pattern '^sum (.*)$' in its standard output; it fails where that is at least 2, in units of 4",
        "b is the pattern '^b (.*)$' in its standard output; it fails where that is at most 1.5",
        "limit states sum, b: the event is that any of them reaches the threshold",
    ]
    only = program(printed("sum", above=2.0)).bind(INPUTS)
    np.testing.assert_array_equal(losses(only, ROWS), a + b - 2.0)
    assert only.limit_state_names == ()
    assert only.has_threshold


def test_outputs_without_names_are_numbered_by_place():
    outputs = [ProgramOutput(pattern="^sum (.*)$"), printed("b"), ProgramOutput(pattern="^difference (.*)$")]
    assert program(outputs).limit_state_names == ("g1", "b", "g3")


@pytest.mark.parametrize(
    ("outputs", "options", "words"),
    [
        ([], {}, "output: must say where the loss stands, got an empty list"),
        ([printed("b"), printed("b")], {}, "output: must have different names, got 'b' twice"),
        (
            [printed("sum", above=1.0), printed("b")],
            {},
            "output: must all have a limit or none: 'sum' has its own, 'b'",
        ),
        ([printed("b")], {"system": "all"}, "system: goes with several outputs"),
        (printed("b"), {"system": {"at_least": 2}}, "system: goes with several outputs"),
        (THREE, {"system": {"at_least": 4}}, "system: at_least must be at most the number of outputs, 3, got 4"),
        (THREE, {"system": "most"}, "system: unknown value 'most'"),
    ],
)
def test_what_does_not_go_together_is_refused(outputs, options, words):
    with pytest.raises(FieldError, match=words):
        program(outputs, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"above": 1.0, "below": 0.0}, "below: must be left out beside above"),
        ({"above": float("nan")}, "above: must be finite, got nan"),
        ({"scale": 2.0}, "scale: goes with above or below"),
        ({"above": 1.0, "scale": 0.0}, "scale: must be positive"),
    ],
)
def test_a_limit_that_is_none_is_refused(options, words):
    for make in (lambda: printed("b", **options), lambda: At(at=1, **options)):
        with pytest.raises(FieldError, match=words):
            make()
    with pytest.raises(FieldError, match="name: must be a name without spaces around it, got ' b'"):
        At(at=1, name=" b")


def test_a_row_with_one_bad_number_fails_in_all():
    """The first number that is none names the failure, and a bounded row has no limit state at all."""
    nan = "import sys; print('b', 1); print('sum', 'nan' if float(sys.argv[1]) > 5 else 2)"
    loss = ProgramLoss(command=[*COMMAND[:4], nan, "${x1}"], output=[printed("b"), printed("sum")], on_failure="bound")
    with collecting() as found:
        states = loss.bind(INPUTS).states(ROWS)
    np.testing.assert_array_equal(states, [[1.0, 2.0], [np.nan] * 2, [1.0, 2.0]])
    assert found.failures.by_kind == {"nan": 1}
    missing = ProgramLoss(command=COMMAND, output=[printed("b"), printed("none")]).bind(INPUTS)
    with pytest.raises(LossError, match=r"wrote nothing in its standard output that the pattern '\^none .*; row 0"):
        losses(missing, ROWS)


TEXT = """seed: 1
inputs: {kind: standard_normal, dim: 2}
loss:
  kind: program
  command: ['${python}', -I, -S, -c, "print('sum', ${x1} + ${x2}); print('b', ${x2})", '']
  output:
    - {name: sum, pattern: "^sum (.*)$", above: 1.5}
    - {name: b, pattern: "^b (.*)$", below: -0.5}
  system: all
measures: [{kind: probability, above: 0}]
method: {kind: crude}
stop: {max_evaluations: 100}
"""


def test_a_run_starts_the_program_once_for_all_outputs(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(TEXT, encoding="utf-8")
    result = configs.load(file).experiment().run()

    def same(x):
        return np.column_stack([x.sum(axis=1) - 1.5, -0.5 - x[:, 1]])

    alike = raresim.estimate(
        2,
        raresim.PythonLoss(function=same, limit_states=["sum", "b"], system="all"),
        Probability(above=0.0),
        method="crude",
        max_evaluations=100,
        seed=1,
    )
    assert result.estimates[0].value == alike.estimates[0].value
    assert result.evaluations == alike.evaluations


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("above: 1.5", "abuv: 1.5", r":7:\d+: loss.output\[0\]: unknown key 'abuv'; did you mean 'above'"),
        ("below: -0.5", "below: low", r":8:\d+: loss.output\[1\].below: must be a number, got the text 'low'"),
        (", below: -0.5", "", r":6:\d+: loss.output: must all have a limit or none: 'sum' has its own, 'b' has none"),
        (
            "system: all",
            "system: {at_least: 3}",
            r":9:\d+: loss.system: at_least must be at most the number of outputs",
        ),
        ("name: b", "name: sum", r":6:\d+: loss.output: must have different names, got 'sum' twice"),
    ],
)
def test_messages_name_line_and_column(old, new, words, tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(TEXT.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        configs.load(file).outline()


def test_several_numbers_of_a_server(tmp_path):
    x = np.asfortranarray(np.column_stack([ROWS, [1.0, 2.0, 3.0]]))
    with serving() as server:
        both = [At(at=0, name="sum", above=1.0), At(at=[0, 1], below=5.0, scale=2.0)]
        loss = UMBridgeLoss(url=server.url, model="forward", output=both, system="all").bind(StandardNormal(dim=3))
        asked = [{"input": [r[:2].tolist(), [r[2]]], "config": {}} for r in x]
        first, second, *_ = np.array([evaluated(question)["output"][0] for question in asked]).T
        states = np.column_stack([first - 1.0, (5.0 - second) / 2.0])
        np.testing.assert_array_equal(loss.states(x), states)
        np.testing.assert_array_equal(losses(loss, x), states.min(axis=1))
        assert loss.limit_state_names == ("sum", "g2")
        assert sum(path == "/Evaluate" for path, _ in server.asked) == 2 * len(x)
        for at, words in ((3, r"must be in the output, counted from 0, got \[0, 3\]"), ([1, 0], r"got \[1, 0\]")):
            with pytest.raises(FieldError, match=words):
                UMBridgeLoss(url=server.url, model="forward", output=[At(at=0), At(at=at)]).bind(StandardNormal(dim=3))
        file = tmp_path / "run.yaml"
        text = TEXT[: TEXT.index("  kind: program")].replace("dim: 2", "dim: 3")
        text += f"  {{kind: umbridge, url: '{server.url}', model: forward, "
        text += "output: [{at: 0, above: 1}, {at: 1, below: 5}]}\n"
        file.write_text(text + TEXT[TEXT.index("measures") :], encoding="utf-8")
        assert configs.load(file).experiment().loss.bind(StandardNormal(dim=3)).limit_state_names == ("g1", "g2")
