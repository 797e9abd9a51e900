"""What progress has to be like, whatever it is about."""

from __future__ import annotations

from blockpack import Progress


def checked(told: list[Progress], *works: str) -> int:
    """The total of what was `told` of works that come one after the other; of all of them."""
    assert tuple(dict.fromkeys(each.work for each in told)) == works
    return sum(checked_work([each for each in told if each.work == work]) for work in works)


def checked_work(told: list[Progress]) -> int:
    """The total of all that was `told` of one work."""
    done = [each.done for each in told]
    totals = {each.total for each in told}
    assert done == sorted(done)
    assert len(totals) == 1
    total = totals.pop()
    assert done[-1] == total
    assert done[0] == 0
    assert [each.finished for each in told] == [False] * (len(told) - 1) + [True]
    assert not total or total not in done[:-1], "all is done, and work goes on"
    return total
