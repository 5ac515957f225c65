"""Whole runs that states.py cannot say in a row: what changes while a rollout runs, or between two processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.kept import SLOW, applied, begun, ended, forgotten, next_of, switched
from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(300), pytest.mark.fault("F93")]


@contextmanager
def edited(lab: Lab, old: str, new: str) -> Iterator[None]:
    """Have somebody edit the inventory for a while."""
    inventory = lab.fleet.inventory
    text = inventory.read_text()
    assert old in text
    inventory.write_text(text.replace(old, new))
    try:
        yield
    finally:
        inventory.write_text(text)


def test_an_inventory_that_changed_between_a_crash_and_resume_is_refused(kept: Lab) -> None:
    process, version = begun(kept, extra=SLOW)
    switched(kept, "lab1", version)
    process.kill()
    process.communicate(timeout=20)
    rollout = kept.last()["id"]
    state = ("--state", str(kept.state), "--output", "plain")
    with edited(kept, "[web:vars]", "[web:vars]\nextra=1"):
        refused = kept.type("resume", rollout, *state)
        assert refused.returncode == 6, refused.stdout + refused.stderr
        assert "inventory.ini was changed since rollout" in refused.stderr
        assert kept.last()["end"] == "", "nothing was taken over"
    done = kept.type("resume", rollout, *state)
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept.all_on(version)


def test_a_host_that_is_added_meanwhile_waits_for_the_next_one(kept: Lab) -> None:
    """What a rollout is about is decided when it begins."""
    process, version = begun(kept, hosts="web:!lab4", extra=SLOW)
    switched(kept, "lab1", version)
    kept.playbook(hosts="web", extra=SLOW)
    ended(process, 0)
    assert kept.current("lab4") == kept.words["on"]
    assert [kept.current(h) for h in ("lab1", "lab2", "lab3")] == [version] * 3
    again = kept.apply(version)
    assert again.returncode == 0, again.stdout + again.stderr
    assert kept.all_on(version)


def test_a_host_that_is_removed_meanwhile_is_finished_all_the_same(kept: Lab) -> None:
    line = next(one for one in kept.fleet.inventory.read_text().splitlines() if one.startswith("lab4 "))
    process, version = begun(kept, extra=SLOW)
    switched(kept, "lab1", version)
    with edited(kept, f"{line}\n", ""):
        ended(process, 0)
        assert kept.all_on(version)
        kept.words["on"] = version
        done, following = applied(kept)
        assert done.returncode == 0, done.stdout + done.stderr
        assert [kept.current(h) for h in kept.hosts] == [following] * 3 + [version]
        assert kept.member("lab4").in_rotation, "who is not asked for is left as it is"


def test_all_hosts_vanish_in_the_middle(kept: Lab) -> None:
    """No revert is begun on a network that is away; when it is back the next apply finishes."""
    limits = "min_in_service: 2\n  limits: { step_timeout: 3s }"
    process, version = begun(kept, extra=limits, deadline="8s", healthy_for="4s")
    switched(kept, "lab1", version)
    for host in kept.hosts:
        kept.fleet.stop_host(host)
    said = ended(process, 5)
    for host in kept.hosts:
        kept.fleet.start_host(host)
    assert {kept.current(h) for h in ("lab2", "lab3", "lab4")} == {kept.words["on"]}
    assert "(cause: the connection)" in said
    assert not kept.member("lab1").in_rotation, "it could not be asked, and stays out"
    done = kept.apply(version)
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept.all_on(version)


def test_nothing_is_left_to_revert_twice(kept: Lab) -> None:
    """A revert of a revert: what went back by itself is over; what a person brought back has its own way forward."""
    version = next_of(kept)
    bad = kept.apply(version, broken="unhealthy")
    assert bad.returncode == 4, bad.stdout + bad.stderr
    again = kept.type("revert", kept.last()["id"], "--state", str(kept.state))
    assert (again.returncode, "E_FINISHED" in again.stderr) == (8, True), again.stderr
    good = kept.apply(f"{version}a")
    assert good.returncode == 0, good.stdout + good.stderr
    book = (str(kept.folder / "shop.yml"), "-i", str(kept.fleet.inventory), "--state", str(kept.state))
    back = kept.type("rollback", *book)
    assert back.returncode == 0, back.stdout + back.stderr
    assert kept.all_on(kept.words["on"])
    forth = kept.type("rollback", *book, "--to", f"{version}a")
    assert forth.returncode == 0, forth.stdout + forth.stderr
    assert kept.all_on(f"{version}a")
    forgotten(kept)
