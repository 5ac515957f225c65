"""Templates that would take everything: the child is ended, and the parent's memory and time stay as they were."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rollout.errors import InputError
from rollout.playbook.loader import read
from rollout.playbook.nodes import Place, Scalar
from rollout.playbook.templates import Rendered, Renderer
from rollout.playbook.vars import Variables

PLACE = Place(file="play.yml", line=7, column=3)
GROWTH_KB = 60_000  # of the parent's memory
CHILD_KB = 600_000  # 256 MB above what an interpreter with jinja2 has, and room for another malloc
CPU_S = 4.0  # of the parent, which has nothing to do: less than what ends the child
ENDLESS = {  # what only the clock ends
    "B70": "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "a power": "{{ 3 ** 100000000 }}",
}
LARGE = {  # what ends at the limit of memory, or at that of a value
    "B69": "{{ 'x'.ljust(2000000000) }}",
    "B71 times": "{{ 'a' * 10**9 }}",
    "B71 format": "{{ '%1000000000d'|format(1) }}",
    "a list": "{{ [0] * 10**9 }}",
    "replaced": "{{ ('a' * 1000000).replace('a', 'b' * 1000)|length }}",
    "centred": "{{ range(99999)|map('string')|map('center', 99999)|join|length }}",
    "a key": "{{ {'k' * 2000000: 1} }}",
    "many": "{{ ['x' * 1000] * 2000 }}",
    "doubled": "{% set n = namespace(t='x') %}{% for i in range(60) %}{% set n.t = n.t ~ n.t %}{% endfor %}{{ n.t }}",
    "itself": "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}",
    "brackets": "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "a sum": "{{ " + "1+" * 20_000 + "1 }}",
}


def rendered(*texts: str, growth_kb: int = GROWTH_KB, cpu_s: float = CPU_S, **common: object) -> list[Rendered]:
    """Render texts in a child of their own, the parent's memory and time watched."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
    with Renderer(environ={}) as renderer:
        found = renderer.render([Scalar(place=PLACE, value=t) for t in texts], Variables(common=common))
        assert renderer.child is not None
        assert peak_kb(renderer.child.pid) < CHILD_KB
    assert time.process_time() - began < cpu_s
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before.ru_maxrss < growth_kb
    return found


def peak_kb(pid: int) -> int:
    """Return the most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


@pytest.mark.bad("B69", "B71")
def test_what_is_too_large_is_refused_and_the_child_lives_on() -> None:
    found = rendered(*LARGE.values(), "{{ 1 + 1 }}")
    for name, one in zip(LARGE, found, strict=False):
        assert [p.code for p in one.problems] == ["E_TEMPLATE_LIMIT"], name
        assert str(one.problems[0]).startswith("play.yml:7:3: E_TEMPLATE_LIMIT: "), name
    assert found[-1].values == (2,)


@pytest.mark.bad("B70")
@pytest.mark.long  # five seconds each; test_templates.py has one of them
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ENDLESS)
def test_what_does_not_end_is_ended_after_its_seconds(name: str) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with pytest.raises(
        InputError, match=r"^play.yml:7:3: E_TEMPLATE_LIMIT: Rendering .* needs more than 5 s or 256 MB"
    ):
        rendered("{{ 1 }}", ENDLESS[name], "{{ 2 }}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert 4.0 <= after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 12.0


def test_all_values_together_are_bounded() -> None:
    texts = ["{{ 'x' * 1000000 ~ " + str(n) + " }}" for n in range(75)]
    began = time.process_time()
    json.loads(json.dumps(["x" * 1_000_000] * len(texts)))
    plain_s = time.process_time() - began
    found = rendered(*texts, growth_kb=300_000, cpu_s=12 * plain_s)  # it takes three times as long
    good = [one for one in found if not one.problems]
    assert 60 <= len(good) <= 68
    assert {p.what for one in found for p in one.problems} == {"All values together are larger than 64 MiB."}


def test_a_key_that_is_no_text_is_refused() -> None:
    (found,) = rendered("{{ {(1, 2): 3} }}")
    assert [p.what for p in found.problems] == ["A key of the value is a tuple, which nothing here takes."]


@pytest.mark.bad("B72")
def test_nothing_is_changed_by_a_template() -> None:
    variables = {"d": {"a": 1}, "names": [3, 1, 2]}
    texts = (
        "{{ d.pop('a') }}",
        "{{ names.sort() }}",
        "{{ d.update(b=2) }}",
        "{% set d.a = 2 %}",
        "{{ names.clear() }}",
    )
    for found in rendered(*texts, **variables):
        assert found.problems[0].code in ("E_TEMPLATE_UNSAFE", "E_TEMPLATE")
    assert rendered("{{ d }}{{ names }}", **variables)[0].values == ("{'a': 1}[3, 1, 2]",)


@pytest.mark.bad("B75")
def test_tens_of_thousands_of_variables_and_a_long_circle() -> None:
    many = {f"v{n}": f"{{{{ v{n + 1} }}}}" for n in range(40_000)} | {"v40000": "{{ v0 }}"}
    found = rendered("{{ v0 }}", "{{ v39999 }}", "{{ v40 is defined }}", **many)
    assert [p.code for one in found for p in one.problems] == ["E_VAR_CYCLE"] * 3
    few = {"a": "{{ b }}", "b": "{{ c }}", "c": "{{ a }}"}
    assert rendered("{{ a }}", **few)[0].problems[0].what == "Variables refer to each other: a > b > c > a."


@pytest.mark.bad("B75", "B11")
def test_a_file_of_more_values_than_there_may_be(tmp_path: Path) -> None:
    (tmp_path / "vars.yml").write_text("".join(f"v{n}: x\n" for n in range(50_001)))
    began = time.process_time()
    with pytest.raises(InputError, match="E_SIZE: The file has more than 100000 values"):
        read(str(tmp_path / "vars.yml"))
    assert time.process_time() - began < 20


def test_a_child_that_is_ended_leaves_no_core(tmp_path: Path) -> None:
    code = "import os, signal, rollout.playbook.sandbox as s; s.main(); os.kill(os.getpid(), signal.SIGXCPU)"
    unlimited = (
        "import resource; resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE)[1:] * 2)"
    )
    argv = [sys.executable, "-c", f"{unlimited}; {code}"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, cwd=tmp_path, env=dict(os.environ), check=False)
    assert -done.returncode in (24, 30)  # SIGXCPU
    assert not done.returncode & 0x80 or done.returncode < 0
    assert list(tmp_path.iterdir()) == []
