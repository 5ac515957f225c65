"""One fleet of real hosts behind a real HAProxy per test process, brought to a known release for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from rollout.lab.loopback import Fleet
from tests.e2e.kept import forgotten, ready
from tests.e2e.lab import Lab
from tests.referee.watching import Referee, refereed

HOSTS = 4


class Nobody:
    """Where no referee watches."""

    @staticmethod
    def fault(*_: object, **__: object) -> AbstractContextManager[None]:
        """Nobody has to be told."""
        return nullcontext()


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    made = Fleet.up(tmp_path_factory.mktemp("e2e") / "lab", HOSTS, check_ms=100)
    yield made
    made.down()


@pytest.fixture(scope="session")
def _home(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(fleet=fleet, folder=tmp_path_factory.mktemp("kept"))


@pytest.fixture
def lab(fleet: Fleet, _home: Lab, tmp_path: Path) -> Lab:
    """A fleet on a release of its own, served by every host, recorded in a state of its own.

    What was kept is gone with it: hosts that somebody else's state brought to one release are not ours to go on from.
    """
    forgotten(_home)
    lab = Lab(fleet=fleet, folder=tmp_path)
    lab.clean()
    return lab


@pytest.fixture
def served(lab: Lab) -> Lab:
    """The same with release ``v1`` rolled out and kept."""
    done = lab.apply("v1")
    assert done.returncode == 0, done.stdout + done.stderr
    return lab


@pytest.fixture
def referee(served: Lab, pytestconfig: pytest.Config) -> Iterator[Referee | Nobody]:
    """Watch a test from outside, from when v1 serves to its end; all rules have to hold then.

    With ``--all``; else a few tests call for one by themselves: it takes a tenth of a processor.
    """
    if "or not long" not in pytestconfig.option.markexpr:
        yield Nobody()
        return
    with refereed(served) as watching:
        yield watching


@pytest.fixture
def kept(_home: Lab, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A fleet that serves some release, which the test before may have brought: quicker than ``served``."""
    ready(_home, tmp_path_factory.mktemp("kept"))
    return _home
