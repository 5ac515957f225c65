"""What is written down is read back equal, and equal events have equal text."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import get_args

import immutables
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout.errors import StoreError
from rollout.model.event import Event, Provenance, Recovered, RolloutStarted
from rollout.model.host import HostName
from rollout.store.codec import canonical, decode, encode
from tests.store.stories import plan, started

KINDS = get_args(Event)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))


st.register_type_strategy(
    Mapping,
    lambda of: st.dictionaries(st.from_type(get_args(of)[0]), st.from_type(get_args(of)[1]), max_size=2),
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_kind_of_event_comes_back_equal(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(st.from_type(kind))
    text = encode(event)
    again = decode(text)
    assert again == event
    assert encode(again) == text
    assert canonical(json.loads(text)) == text, "the text is not canonical"


def test_types_survive_that_compare_equal() -> None:
    event = started(hosts=2)
    play = decode(encode(event)).plan.plays[0]  # type: ignore[union-attr]
    assert type(play.batches) is tuple
    assert type(play.hosts["web1"].steps[0].do) is type(event.plan.plays[0].hosts["web1"].steps[0].do)
    assert type(play.health.fall) is int
    assert type(play.step_timeout_s) is float


@pytest.mark.parametrize("as_kind", [dict, MappingProxyType, immutables.Map])
def test_any_mapping_is_written_as_an_object(as_kind: Callable[[dict[str, str]], Mapping[str, str]]) -> None:
    event = Recovered(epoch=2, stranded={HostName("web1"): "why"})
    assert encode(replace(event, stranded=as_kind({"web1": "why"}))) == encode(event)


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"kind":"no_such"}', '{"kind":"batch_closed","batch":"1"}', '{"kind":"batch_closed"}'],
)
def test_what_is_no_event_is_refused_in_words(text: str) -> None:
    with pytest.raises(StoreError, match="E_EVENT"):
        decode(text)


def test_an_argument_that_is_no_unicode_can_be_written() -> None:
    event = RolloutStarted(plan=plan(hosts=1), provenance=Provenance(argv=("caf\udce9",)))
    again = decode(encode(event))
    assert again.provenance.argv == ("caf?",)  # type: ignore[union-attr]


def test_a_number_that_json_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        canonical(float("nan"))


@pytest.mark.alone
def test_a_plan_of_5000_hosts_is_written_down_in_the_time_of_a_few_plain_dumps() -> None:
    event = started(hosts=5000, batches=(50,), floor=3750)
    decode(encode(started(hosts=1)))
    text = encode(event)
    value = json.loads(text)
    plain = min(_seconds(lambda: json.dumps(value, sort_keys=True)) for _ in range(3))
    ours = min(_seconds(lambda: encode(event)) for _ in range(3))
    assert ours < 8 * plain, f"encoding takes {ours:.2f}s, the plain dump {plain:.2f}s"


def _seconds(work: object) -> float:
    begun = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - begun
