"""YAML inventories: compared with Ansible itself, mixed with INI ones; what is refused, and what is passed over."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rollout.errors import InputError
from rollout.inventory import Inventory, load_inventory
from rollout.inventory.draft import MAX_HOSTS
from rollout.inventory.fleet import Place
from tests.inventory.oracle import accepted, listed, matched
from tests.inventory.test_oracle import variables, written

HOSTS = """\
# a fleet
all:
  vars:
    z: 0
    everywhere: {a: {b: null}, "1": two}
    when_: 2026-11-22
    oct: 010
    yes_: yes
    float: 1.50
    under: 1_000
    sexagesimal: 22:22
  hosts:
    lonely: {ansible_host: 10.0.0.1}
    "2001:db8::1":
    "[2001:db8::2]:2200": {v6: 1}
  children:
    prod:
      vars: &shared
        k: a b
        z: 1
        deep: {one: 1}
      children:
        web:
          hosts:
            web[01:03]: {http_port: 8080, flag: true, l: [1, 2]}
            db-[a:c:2]:2222: {neg: -5}
            x[1:2]-[a:b].example.org:
          vars:
            z: 2
            ansible_group_priority: 5
        api:
    api:
      hosts:
        api1:
          <<: *shared
          eq: a=b
        web01: {http_port: 1}
      vars: {<<: *shared, z: 3}
    empty:
    texts:
      hosts: alone
      children: texts_child
      vars: named
    later: {children: {zz: , yy: }}
yy: {hosts: {y1: }}
zz:
  hosts:
    z1: {}
    y1: {z: host}
"""
FILES = {
    "inv/10-ini": "[web]\nweb01 http_port=9 from=ini\nfirst\n[prod:children]\nweb\n[prod:vars]\nz=9\n",
    "inv/20.yml": HOSTS,
    "inv/30": "---\nweb:\n  hosts:\n    web02: {http_port: 7}\n    last:\n",
    "inv/40.json": '{"web": {"hosts": {"web03": {"from": "json", "list": [1, {"a": null}]}}}}',
    "inv/50.ini": "a:1\n",
    "inv/60": "plain:1\n",
    "inv/notes.md": "!!\n",
    "inv/group_vars/web.yml": "z: file\n",
    "inv/host_vars/y1": "z: file\n",
    "play/group_vars/api/x.yml": "z: play\n",
}
# Not `all`: where several groups of one depth have children, Ansible's order of it changes from run to run.
PATTERNS = [
    "prod",
    "web",
    "web:api",
    "prod[0:3]",
    "later",
    "y1:later",
    "prod:!web",
    "api:&prod",
    "x*",
    "texts",
    "web[3]",
]


def test_a_folder_of_both_kinds_is_ansibles(tmp_path: Path) -> None:
    written(tmp_path, FILES)
    inventory = load_inventory([tmp_path / "inv"], tmp_path / "play")
    theirs = listed([str(tmp_path / "inv")], tmp_path, tmp_path / "play")
    ours = variables(inventory)
    assert ours == {h: theirs["_meta"]["hostvars"].get(h, {}) for h in inventory.hosts}
    assert set(theirs["_meta"]["hostvars"]) <= set(inventory.hosts)
    for group in ("web", "api", "yy", "zz", "texts", "ungrouped"):
        assert set(inventory.groups[group]) == set(theirs[group]["hosts"])
    assert inventory.hosts["last"].variables["inventory_file"] == str(tmp_path / "inv/30")  # type: ignore[index]


def test_patterns_over_yaml_are_ansibles_in_its_order(tmp_path: Path) -> None:
    written(tmp_path, {"hosts.yml": HOSTS})
    inventory = load_inventory([tmp_path / "hosts.yml"], None)
    assert {p: inventory.match(p) for p in PATTERNS} == matched(str(tmp_path / "hosts.yml"), PATTERNS, tmp_path)


NAMES = st.sampled_from(["h1", "h2", "h3", "n[1:3]", "n[02:03]:2200", "x[a:c]"])
VALUES = st.sampled_from([1, "q r", True, None, [1, "x"], {"a": {"b": 2}}, -1.5, "yes", "1.2.3.4", "{}"])
VARS = st.dictionaries(st.sampled_from(["v1", "v2", "v3"]), VALUES, max_size=2)
HOSTED = st.one_of(st.none(), st.dictionaries(NAMES, st.one_of(st.none(), VARS), max_size=3))


@st.composite
def grouped(draw: st.DrawFn, children: dict[str, Any]) -> dict[str, Any] | None:
    """Draw a group with its sections in any order."""
    sections = {"hosts": draw(HOSTED), "vars": draw(st.one_of(st.none(), VARS)), "children": children or None}
    return {name: sections[name] for name in draw(st.permutations(sorted(sections))) if sections[name] is not None}


@st.composite
def generated(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an inventory with one parent of groups at each depth, as the INI ones are drawn."""
    leaves = {name: draw(grouped({})) for name in draw(st.permutations(["g1", "g2", "g3"]))}
    inner = draw(grouped(leaves))
    return {"all": draw(grouped({"p1": inner})), "g2": draw(grouped({}))}


@settings(max_examples=2, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(generated())
def test_generated_inventories_are_read_as_ansible_reads_them(made: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "hosts.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
        inventory = load_inventory([home / "hosts.yaml"], None)
        theirs = listed([str(home / "hosts.yaml")], home)
        assert variables(inventory) == {h: theirs["_meta"]["hostvars"].get(h, {}) for h in inventory.hosts}


def problems(tmp_path: Path, text: str, name: str = "hosts.yml") -> list[tuple[str, int, int]]:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as refused:
        load_inventory([tmp_path / name], None)
    return [(p.code, p.line, p.column) for p in refused.value.problems]


BAD = {
    "": [("E_EMPTY", 1, 1)],
    "---\n": [("E_EMPTY", 1, 1)],
    "{}\n": [("E_EMPTY", 1, 1)],
    "a: {hots: !vault x}\n": [("E_TAG", 1, 11)],
    "- a\n": [("E_SHAPE", 1, 1)],
    "web1\n": [("E_SHAPE", 1, 1)],
    "plugin: aws_ec2\nregions: [x]\n": [("E_NOT_BUILT", 1, 1)],
    "a: {hosts: {bad;: , -o: }}\n": [("E_HOSTNAME", 1, 13), ("E_HOSTNAME", 1, 21)],
    "a: {hosts: {12: }, vars: 1}\n": [("E_KEY", 1, 13), ("E_TYPE", 1, 20)],
    "1: {}\n": [("E_KEY", 1, 1)],
    "a:\n  hosts: [h1, h2]\n": [("E_TYPE", 2, 3)],
    "a:\n  hosts:\n    h1: word\n    h2: [x]\n": [("E_TYPE", 3, 5), ("E_TYPE", 4, 5)],
    "a: {hosts: {'h[1:': , 'h:0': , 'h[3:1]': }}\n": [("E_RANGE", 1, 13), ("E_PORT", 1, 23), ("E_RANGE", 1, 32)],
    "a: {vars: {ansible_group_priority: high}}\n": [("E_TYPE", 1, 12)],
    "a: {children: {b: {children: {a: }}}}\n": [("E_GROUP", 1, 16)],
    "a: {hosts: {h: {v: !vault x}}}\n": [("E_TAG", 1, 20)],
    "a: !!python/object/apply:os.system [id]\n": [("E_TAG", 1, 4)],
    "a: &x {children: {b: *x}}\n": [("E_ALIAS_CYCLE", 1, 4)],
    "a:\n\thosts:\n": [("E_YAML", 2, 1)],
    "a: 1\n---\nb: 2\n": [("E_MULTI_DOC", 2, 1)],
    "a: {vars: {d: 2026-13-45}}\n": [("E_YAML", 1, 15)],
    "a: {vars: {d: !!int }}\n": [("E_YAML", 1, 15)],
    "a: {vars: {d: !!float x}}\n": [("E_YAML", 1, 15)],
    "a: {vars: {d: !!timestamp x}}\n": [("E_YAML", 1, 15)],
    "a: {vars: {d: !!bool x}}\n": [("E_YAML", 1, 15)],
    "a: {vars: {b: 1, n: " + "9" * 5000 + "}}\n": [("E_YAML", 1, 21)],
    "a: {vars: {x: [\n": [("E_YAML", 2, 1)],
    "a: {vars: {x: [": [("E_YAML", 1, 16)],
    "a: {hosts: {'h[1:99999]': }}\n": [("E_RANGE", 1, 13)],
    "'b ad': {}\n": [("E_GROUP", 1, 1)],
}


@pytest.mark.bad("B15", "B16", "B23", "B25")
@pytest.mark.parametrize("text", BAD, ids=lambda t: repr(t[:40]))
def test_what_cannot_be_read_is_refused_in_its_place(text: str, tmp_path: Path) -> None:
    assert problems(tmp_path, text) == BAD[text]


def test_a_nest_without_end_is_refused_inside_of_it(tmp_path: Path) -> None:
    [(code, line, column)] = problems(tmp_path, "a: " + "[" * 5000 + "]" * 5000 + "\n")
    assert (code, line) == ("E_DEPTH", 1)
    assert column in (68, 1003)  # ours, or where newer libyaml gives up


def test_ansible_cannot_read_them_either(tmp_path: Path) -> None:
    for number, start in enumerate(("a: {hosts: {12", "a:\n  hosts: [h1", "a: {children: {b")):
        (tmp_path / f"h{number}.yml").write_text(next(t for t in BAD if t.startswith(start)))
        assert not accepted(str(tmp_path / f"h{number}.yml"), tmp_path), start


def test_what_ansible_passes_over_is_passed_over_with_a_warning(tmp_path: Path) -> None:
    text = "web:\n  host: {h1: }\n  hosts:\n    h2: {v: 1, v: 2}\nodd: 3\nweb: {hosts: {h3: {<<: {a: 1}, a: 2}}}\n"
    (tmp_path / "hosts.yml").write_text(text)
    inventory = load_inventory([tmp_path / "hosts.yml"], None)
    assert variables(inventory) == {"h3": {"a": 2}}
    said = [w.removeprefix(f"{tmp_path}/") for w in inventory.warnings]
    assert said == [
        "hosts.yml:6:1: `web` is here a second time: the last one counts.",
        "hosts.yml:5:1: `odd` is passed over: it is no mapping, so no group.",
    ]
    (tmp_path / "hosts.yml").write_text(text.rpartition("web:")[0])
    inventory = load_inventory([tmp_path / "hosts.yml"], None)
    assert variables(inventory) == {"h2": {"v": 2}}
    assert "a group has hosts, children and vars. Did you mean `hosts`?" in inventory.warnings[0]
    assert len(inventory.warnings) == 3


def test_aliases_do_not_grow_beyond_all_bounds(tmp_path: Path) -> None:
    bomb = "\n".join(
        ["a0: &a0 {hosts: {h1: {v: [x, x, x, x, x, x, x, x]}}}"]
        + [f"a{n}: &a{n} {{children: {{b{n}: *a{n - 1}, c{n}: *a{n - 1}}}}}" for n in range(1, 20)]
    )
    assert [code for code, _, _ in problems(tmp_path, bomb)] == ["E_ALIAS_LIMIT"]


def test_too_many_hosts_are_refused_once(tmp_path: Path) -> None:
    half = MAX_HOSTS // 2
    text = "a:\n  hosts:\n" + "".join(f"    h{letter}[1:{half}]:\n" for letter in "abcd")
    assert problems(tmp_path, text) == [("E_LIMIT", 5, 5)]


def test_connection_variables_remember_their_place(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(
        "all:\n  hosts:\n    h1: {v: 1, ansible_port: 2200}\n  vars:\n    ansible_user: u\n"
    )
    host = load_inventory([tmp_path / "hosts.yml"], None).hosts["h1"]  # type: ignore[index]
    assert host.places == {
        "ansible_user": Place(str(tmp_path / "hosts.yml"), 5, 5),
        "ansible_port": Place(str(tmp_path / "hosts.yml"), 3, 16),
    }


@pytest.mark.parametrize(
    ("name", "text", "hosts"),
    [
        ("hosts", "web: {hosts: {h1: }}\n", ["h1"]),
        ("hosts", "# us\n---\nweb:\n  hosts: h1\n", ["h1"]),
        ("hosts", "h1 v=1\nh2\n", ["h1", "h2"]),
        ("hosts", "h1:22\n", ["h1"]),
        ("hosts.ini", "h1\n", ["h1"]),
        ("hosts.prod", "h1\n", ["h1"]),
        ("hosts.json", '{"all": {"hosts": {"h1": {}}}}', ["h1"]),
    ],
)
def test_which_files_are_yaml(name: str, text: str, hosts: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    inventory: Inventory = load_inventory([tmp_path / name], None)
    assert list(inventory.hosts) == hosts


def test_a_file_that_was_meant_to_be_yaml_is_told_so(tmp_path: Path) -> None:
    assert problems(tmp_path, "all:\n  hosts:\n\th1:\n", "hosts") == [("E_YAML", 3, 1)]
