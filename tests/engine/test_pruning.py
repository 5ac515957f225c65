"""What may go from a host: nothing that is needed, and then the least needed first (I12)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.engine.planner import previous_of
from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.model.pruning import Keeping, Stock, surplus

DAY = 86_400
NOW = 1000 * DAY
GOOD = frozenset({"installed", "activated", "verified", "kept"})
STAGED = frozenset({"installed"})
BAD = frozenset({"installed", "activated", "bad"})
KEEPING = Keeping(keep=2, keep_for_s=7 * DAY)


def stock(current: str, ledger: dict[str, frozenset[str]], **more: object) -> Stock:
    ages = {name: NOW - (100 - n) * DAY for n, name in enumerate(ledger)}
    said: dict[str, object] = {"running": current, "releases": tuple(ledger), "marked": ages, "clock": NOW, **more}
    return Stock(current=current, ledger=ledger, **said)  # type: ignore[arg-type]


FIVE = {f"v{n}": GOOD for n in range(1, 6)}


@pytest.mark.parametrize(
    ("gone", "one"),
    [
        ("v1 v2 v3", stock("v5", FIVE)),
        ("s1 v1 v2 v3", stock("v5", {"s1": STAGED, **FIVE})),
        ("b1 s1 v1 v2 v3", stock("v5", {**FIVE, "b1": BAD, "s1": STAGED})),
        ("x1 v1 v2 v3", stock("v5", FIVE, releases=(*FIVE, "x1"))),  # it is in no ledger
        ("v2 v3", stock("v1", FIVE)),  # somebody went back
        ("v1 v2", stock("v3", FIVE, running="v4")),
        ("v1", stock("v5", FIVE, marked={"v1": NOW - 8 * DAY, "v2": NOW - 6 * DAY})),
        ("", stock("v5", FIVE, clock=0)),
        ("", stock("v5", FIVE, marked=dict.fromkeys(FIVE, NOW + DAY))),  # a clock that went back
        ("v1 v2 v3", stock("v5", FIVE, releases=("v4", "v5"))),  # its marks, for it is not there
        ("v1", stock("v3", {"v1": STAGED, "v2": GOOD, "v3": GOOD})),
        ("v1", stock("v3", {"v1": GOOD, "v2": GOOD, "v3": GOOD})),
        ("v2", stock("v3", {"v1": GOOD, "v2": BAD, "v3": GOOD})),
        ("v2", stock("v3", {"v1": GOOD, "v2": GOOD | {"bad"}, "v3": GOOD})),  # it was found bad after it was kept
        ("", stock("", {})),
    ],
)
def test_what_goes(gone: str, one: Stock) -> None:
    assert " ".join(surplus(one, KEEPING)) == gone


def test_what_is_named_stays_and_without_a_number_everything_does() -> None:
    assert surplus(stock("v5", FIVE), KEEPING, {"v2"}) == ("v1", "v3")
    assert surplus(stock("v5", FIVE), Keeping(keep=0, keep_for_s=0)) == ()


def test_twenty_failed_deploys_in_a_row_keep_the_last_good_one() -> None:
    failed = {f"bad{n}": BAD if n % 2 else STAGED for n in range(20)}
    one = stock("good", {"older": GOOD, "good": GOOD, **failed})
    assert set(surplus(one, Keeping(keep=1, keep_for_s=0))) == set(failed)


NAMES = st.sampled_from([f"r{n}" for n in range(6)])
MARKS = st.frozensets(st.sampled_from(["installed", "activated", "verified", "kept", "adopted", "bad"]))


@settings(max_examples=400, deadline=None)
@given(
    ledger=st.dictionaries(NAMES, MARKS.filter(bool)),
    releases=st.sets(NAMES),
    current=NAMES,
    spare=st.sets(NAMES),
    keep=st.integers(0, 3),
    ages=st.dictionaries(NAMES, st.integers(0, 20)),
)
def test_nothing_that_is_needed_ever_goes(
    ledger: dict[str, frozenset[str]],
    releases: set[str],
    current: str,
    spare: set[str],
    keep: int,
    ages: dict[str, int],
) -> None:
    marked = {i: NOW - days * DAY for i, days in ages.items()}
    one = Stock(current=current, releases=tuple(releases), ledger=ledger, marked=marked, clock=NOW)
    gone = surplus(one, Keeping(keep=keep, keep_for_s=7 * DAY), spare)
    assert not {current, *spare} & {*gone}
    seen = Observation(host=HostName("h"), current=current, ledger=ledger, releases=dict.fromkeys(releases, "m"))
    recorded = dict.fromkeys(ledger, "m")
    assert previous_of(recorded, seen, "new") not in gone, "what the next rollout would go back to"
    assert previous_of(recorded, seen, current) not in gone, "what this one would"
    proven = [
        i for i in ledger if i in releases and ledger[i] & {"verified", "kept", "adopted"} and "bad" not in ledger[i]
    ]
    assert not {*gone} & {*proven[len(proven) - keep :]}
    assert all(i not in proven or ages.get(i, 0) > 7 for i in gone)
