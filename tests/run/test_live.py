"""A run with onlookers: the estimate so far, and a run that its user stops."""

import threading

import pytest

from raresim import Stop
from raresim.errors import FieldError
from raresim.measures.intervals import LOOK_INFLATION
from raresim.run.live import Live
from tests.reproducibility.test_bits import digits
from tests.run.test_clock import all_but_stopping, experiment


class Stopping(Live):
    """Is asked to stop when the estimate has come to so many rows; ``seen`` is what an onlooker then reads."""

    def __init__(self, rows):
        super().__init__()
        self.rows, self.seen = rows, None

    def keep(self, found, progress, searching):
        super().keep(found, progress, searching)
        if progress.total.tail.n >= self.rows and not self.is_stopping:
            thread = threading.Thread(target=self.look)  # as a page does
            thread.start()
            thread.join()
            self.stop()

    def look(self):
        self.seen = self.so_far()


def test_onlookers_change_no_digit(seed):
    live = Live()
    watched = experiment(seed(4311), relative_error=0.1).run(live=live)
    assert digits(watched) == digits(experiment(seed(4311), relative_error=0.1).run())
    assert live.so_far().estimates[0].value == watched.estimates[0].value
    assert "by_hand" not in watched.stopping


@pytest.mark.parametrize("kind", ["crude", "auto"])
def test_stopped_run_is_repeated_by_its_numbers_and_has_wider_intervals(kind, seed):
    live = Stopping(3000)
    stopped = experiment(seed(4312), kind, relative_error=None).run(live=live)
    stopping = stopped.stopping
    assert stopping["by_hand"] is True
    assert 3000 <= stopped.estimates[0].diagnostics["rows"] < 20_000
    assert stopping["interval_inflation"] == LOOK_INFLATION
    assert f"ended_at: {stopping['ended_at']}, by_hand: true}} repeats" in stopped.search["decisions"][-1]
    assert (stopped.evaluations["audit"] > 0) == (kind != "crude")  # crude draws everywhere
    numbers = {key: stopping[key] for key in ("relative_error", "max_evaluations", "ended_at", "by_hand")}
    again = experiment(seed(4312), kind, **numbers).run()
    assert all_but_stopping(again) == all_but_stopping(stopped)
    unseen = experiment(seed(4312), kind, **{**numbers, "by_hand": None}).run()
    assert unseen.estimates[0].value == stopped.estimates[0].value
    assert unseen.estimates[0].interval[1] < stopped.estimates[0].interval[1]


def test_estimate_so_far_is_that_of_the_rows_and_not_yet_audited(seed):
    live = Stopping(3000)
    stopped = experiment(seed(4313)).run(live=live)
    assert live.seen.estimates[0].value == stopped.estimates[0].value
    assert live.seen.verdict.status == "caution"
    assert live.seen.evaluations["audit"] == 0


def test_stop_that_is_asked_for_during_the_search_ends_the_first_rows(seed):
    live = Live()
    live.stop()
    stopped = experiment(seed(4314), "auto", relative_error=1e-3).run(live=live)
    assert stopped.stopping["by_hand"] is True
    assert stopped.stopping["ended_at"] == stopped.evaluations["tune"] + stopped.evaluations["estimate"]


def test_before_the_estimate_there_is_nothing_to_see():
    assert Live().so_far() is None


def test_by_hand_says_who_ended_the_run():
    with pytest.raises(FieldError, match="by_hand: must be given beside ended_at: it says who ended the run there"):
        Stop(by_hand=True)
