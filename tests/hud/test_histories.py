"""Histories are read by shorter ways where those are enough; what they say is the same."""

from itertools import product

from hud import histories
from hud.cells import RunFact, attempts
from project.github.outcomes import Conclusion, Status


def test_one_run_alone_says_what_it_says_among_others() -> None:
    for status, conclusion, over, workflow_run_id in product(Status, Conclusion, (False, True), (None, 5)):
        fact = RunFact(8, 1, False, workflow_run_id, 2, status, conclusion, None, None, over)
        told = histories.told([fact], {8: 60.0}, {8: "a-key"})
        ways = [
            (histories._EVENTS[one.outcome], one.workflow_run_id, one.number)
            for one in attempts([fact])
            if one.outcome in histories._EVENTS
        ]
        assert [(one.event.status, one.event.run, one.event.attempt) for one in told] == ways
        assert all(one.keys == (("a-key",) if one.event.status == "F" else ()) for one in told)
