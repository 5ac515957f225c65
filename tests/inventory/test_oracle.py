"""Inventories as Ansible reads them: a table, and generated ones, compared with Ansible itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rollout.errors import InputError
from rollout.inventory import Inventory, load_inventory
from tests.inventory.oracle import accepted, listed, matched

OWN = {"inventory_file", "inventory_dir"}
HOSTS = """\
lonely ansible_host=10.0.0.1
# a comment
; another
[web]
web[01:03] http_port=8080 flag=true F=True text="a b" l=[1,2] # a comment
db-[a:c:2]:2222   oct=0x1F f=1.50 n=None neg=-5 dot=1.2.3 date=2026-11-22 under=1_000 quote="'1'" zero=007
x[1:2]-[a:b].example.org  t=(1,2) b=b'x' e=... c=1+2j
[prod:children]
web
api
later
[api]
api1 x='{"a": 1}' eq=a=b hash=a\\#b empty=
web01 http_port=1
[2001:db8::1]:2200 v6=1
fe80::7
[prod:vars]
k = a b # c
z=1
spaced   =   [1, "two"]
[web:vars]
z=2
ansible_group_priority=5
[api:vars]
z=3
[all:vars]
z=0
everywhere={"a": {"b": None}}
[empty]
[later:children]
zz
yy
[yy]
y1
[zz]
z1
y1 z=host
"""
FILES = {
    "inv/hosts": HOSTS,
    "inv/group_vars/all.yml": "z: file-all\nyes_: yes\noct: 010\ndate: '2026-01-01'\nsexagesimal: 22:22\n"
    "base: &b {a: 1}\nmerged: {<<: *b, c: 2}\n",
    "inv/group_vars/web/b.yml": "order: b\nonly_b: 1\n",
    "inv/group_vars/web/a.yml": "order: a\n",
    "inv/group_vars/web/.hidden.yml": "hidden: 1\n",
    "inv/group_vars/web/c.txt": "skipped: 1\n",
    "inv/group_vars/web/sub/d.json": '{"deep": true}',
    "inv/group_vars/prod": "---\nz: file-prod\nextensionless: on\n",
    "inv/group_vars/prod.yml": "never: read\n",
    "inv/group_vars/yy.yaml": "# nothing\n",
    "inv/host_vars/web01.yml": "z: host-file\nhost: {nested: [1, 2.5, null, ~]}\n",
    "inv/host_vars/api1.json": '{"j": [1, {"k": "v"}], "eq": "file"}',
    "play/group_vars/all": "z: play-all\nplayed: 1\n",
    "play/group_vars/api.yml": "z: play-api\n",
    "play/host_vars/web02/vars.yaml": "z: play-host\n",
}


def written(tmp_path: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)


def variables(inventory: Inventory) -> dict[str, object]:
    made = {h.name: {k: v for k, v in h.variables.items() if k not in OWN} for h in inventory.hosts.values()}
    found: dict[str, object] = json.loads(json.dumps(made, default=str))
    return found


def test_hosts_groups_and_merged_variables_are_ansibles(tmp_path: Path) -> None:
    written(tmp_path, FILES)
    inventory = load_inventory([tmp_path / "inv/hosts"], tmp_path / "play")
    theirs = listed([str(tmp_path / "inv/hosts")], tmp_path, tmp_path / "play")
    assert variables(inventory) == {h: theirs["_meta"]["hostvars"].get(h, {}) for h in inventory.hosts}
    assert set(theirs["_meta"]["hostvars"]) <= set(inventory.hosts)
    assert inventory.hosts["web01"].variables["inventory_dir"] == str(tmp_path / "inv")  # type: ignore[index]
    assert set(inventory.sources) == {
        str(tmp_path / n) for n in FILES if not n.endswith((".hidden.yml", ".txt", "prod.yml"))
    }


def test_several_sources_folders_and_lists_are_ansibles(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "one": "[g]\na v=1\nb:22\n[g:vars]\nw=1\n",
            "dir/20": "[g]\na v=3\nc\n",
            "dir/10": "[g]\na v=2\n",
            "dir/x.md": "!!\n",
        },
    )
    written(tmp_path, {"group_vars/g": "w: 2\nq1: 2\n", "dir/group_vars/g": "w: 3\n"})
    sources = [str(tmp_path / "one"), str(tmp_path / "dir"), "h1,h2:2200,"]
    inventory = load_inventory([Path(s) for s in sources], None)
    theirs = listed(sources, tmp_path)
    assert variables(inventory) == {h: theirs["_meta"]["hostvars"].get(h, {}) for h in inventory.hosts}
    assert list(inventory.groups["g"]) == theirs["g"]["hosts"]


PATTERNS = [
    *(
        "all",
        "*",
        "web",
        "web:api",
        "api:web",
        "api,web",
        "web:&prod",
        "prod:!web",
        "!web",
        "&web",
        "web:!empty",
        "all:&empty",
    ),
    *(
        "web[0]",
        "web[-1]",
        "web[1:2]",
        "web[1:]",
        "web[0:0]",
        "prod[2:4]",
        "w*",
        "*1",
        "x?-*",
        "*.example.org",
        "web0[1-2]*",
    ),
    *(
        "~web0[13]",
        "~.*[ab]$",
        "web01",
        "web01:web",
        "web:web01",
        "lonely",
        "ungrouped",
        "un*",
        "all:!web*",
        "!w*:&prod",
    ),
    *(
        "later",
        "y1:later",
        "later:!yy",
        "2001:db8::1",
        "localhost",
        " web , api ",
        "all:!~x.*",
        "prod:&web:!web01",
    ),
    *("all[3]", "*[2]", "w*[0:5]", "x1-a.example.org", "x*.org:db-a", "empty", "empty:web"),
]


def test_patterns_give_ansibles_hosts_in_ansibles_order(tmp_path: Path) -> None:
    written(tmp_path, {"hosts": HOSTS})
    inventory = load_inventory([tmp_path / "hosts"], None)
    assert {p: inventory.match(p) for p in PATTERNS} == matched(str(tmp_path / "hosts"), PATTERNS, tmp_path)


REFUSED_BY_BOTH = {
    "unknown child": "[a:children]\nb\n",
    "vars of nothing": "[a:vars]\nx=1\n",
    "cycle": "[a:children]\nb\n[b:children]\na\n",
    "kind": "[a:hosts2]\n",
    "section": "[a b]\n",
    "no variable": "h1 word\n",
    "quotes": 'h1 x="a\n',
    "no end": "h[1:]\n",
    "unequal padding": "h[01:100]\n",
    "four parts": "h[1:2:3:4]\n",
    "letters and numbers": "h[a:3]\n",
    "unhashable": "h1 x={[]:1}\n",
}


@pytest.mark.parametrize("name", REFUSED_BY_BOTH)
def test_what_ansible_cannot_read_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text(REFUSED_BY_BOTH[name])
    with pytest.raises(InputError) as refused:
        load_inventory([tmp_path / "hosts"], None)
    assert f"{tmp_path}/hosts:" in str(refused.value)


def test_ansible_cannot_read_them_either(tmp_path: Path) -> None:
    for number, name in enumerate(["cycle", "unequal padding", "no variable"]):
        (tmp_path / f"h{number}").write_text(REFUSED_BY_BOTH[name])
        assert not accepted(str(tmp_path / f"h{number}"), tmp_path), name


GROUPS = ("g1", "g2", "g3", "g4")
NAMES = st.sampled_from(["h1", "h2", "h3", "n[1:3]", "n[02:03]", "x[a:c]"])
VALUES = st.sampled_from(
    ["1", "'q r'", "true", "True", "a-b", "[1,'x']", "0o17", "-1.5", "1e3", '"{}"', "None", "1.2.3.4"]
)
LINES = st.builds(
    lambda name, pairs: " ".join([name, *(f"v{k}={v}" for k, v in pairs)]),
    NAMES,
    st.lists(st.tuples(st.integers(1, 4), VALUES), max_size=2),
)


@st.composite
def generated(draw: st.DrawFn) -> str:
    """Draw an inventory with one parent of groups at each depth.

    Where several groups of one depth have children, Ansible's own order changes from run to run
    (it walks a set); ours is the order of the lines.
    """
    parts = ["\n".join(draw(st.lists(LINES, max_size=3)))]
    for group in draw(st.permutations(GROUPS)):
        parts.append(f"[{group}]\n" + "\n".join(draw(st.lists(LINES, max_size=4))))
        if draw(st.booleans()):
            parts.append(
                f"[{group}:vars]\n"
                + "\n".join(f"v{n}={draw(VALUES)}" for n in draw(st.sets(st.integers(1, 4), max_size=2)))
            )
    for parent in ("p1", "p2"):
        children = draw(st.lists(st.sampled_from(GROUPS), unique=True, max_size=3))
        children += ["p2"] if parent == "p1" else []
        place = draw(st.integers(1, len(parts)))
        parts.insert(place, f"[{parent}:children]\n" + "\n".join(children))
    return "\n".join(parts) + "\n"


TERMS = st.sampled_from(["all", *GROUPS, "p1", "p2", "h*", "n?", "g*", "~[gx].*", "p1[0:1]", "g1[0:2]", "x*"])
DRAWN = st.lists(st.tuples(st.sampled_from(["", "", "&", "!"]), TERMS), min_size=1, max_size=3).map(
    lambda t: ":".join(s + n for s, n in t)
)


@settings(max_examples=3, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.lists(generated(), min_size=1, max_size=1), st.lists(DRAWN, min_size=15, max_size=15, unique=True))
def test_generated_inventories_are_read_as_ansible_reads_them(texts: list[str], patterns: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "hosts").write_text(texts[0])
        inventory = load_inventory([home / "hosts"], None)
        theirs = listed([str(home / "hosts")], home)
        assert variables(inventory) == {h: theirs["_meta"]["hostvars"].get(h, {}) for h in inventory.hosts}
        usable = [p for p in patterns if _matches(inventory, p)]
        assert {p: inventory.match(p) for p in usable} == matched(str(home / "hosts"), usable, home)


def _matches(inventory: Inventory, pattern: str) -> bool:
    try:
        return bool(inventory.match(pattern))
    except InputError:
        return False
