"""``connection.jump`` and the jumps of inventories: who is meant, in which order, and what is no way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rollout.errors import InputError
from rollout.model.host import Connection, Hop
from tests.playbook.test_load import SMALL, asks, loaded

GATES = """\
[gates]
outer ansible_host=192.0.2.1 ansible_user=gate ansible_port=2222 ansible_ssh_private_key_file=/keys/gate
inner ansible_host=10.0.0.1
"""
OUTER = Hop(name="outer", address="192.0.2.1", port=2222, user="gate", key_files=("/keys/gate",))
INNER = Hop(name="inner", address="10.0.0.1", user="deploy")


def ways(folder: Path, jump: str, inventory: str, **options: Any) -> dict[str, tuple[Hop, ...]]:
    said = f"jump: {jump}" if jump else ""
    text = SMALL + f"  connection: {{ user: deploy, {said} }}\n"
    return {a.host: a.connection.jump for a in asks(loaded(folder, text, inventory + GATES, **options))}


def refused(folder: Path, jump: str, inventory: str) -> str:
    with pytest.raises(InputError) as error:
        ways(folder, jump, inventory)
    return str(error.value)


@pytest.mark.parametrize(
    ("jump", "hops"),
    [
        ("[outer]", (OUTER,)),
        ("outer", (OUTER,)),
        ("[]", ()),
        ("[outer, inner]", (OUTER, INNER)),
        ("[other@outer:22]", (Hop(name="outer", address="192.0.2.1", user="other", key_files=("/keys/gate",)),)),
        (
            "[me@gate.example.org:2200]",
            (Hop(name="gate.example.org", address="gate.example.org", port=2200, user="me"),),
        ),
        ("[gate.example.org]", (Hop(name="gate.example.org", address="gate.example.org", user="deploy"),)),
        ('["[2001:db8::1]:22"]', (Hop(name="2001:db8::1", address="2001:db8::1", user="deploy"),)),
        ('["me@2001:db8::1"]', (Hop(name="2001:db8::1", address="2001:db8::1", user="me"),)),
        ("\"{{ ['outer'] if inventory_hostname == 'web1' else [] }}\"", (OUTER,)),
    ],
)
def test_hops_of_the_play(jump: str, hops: tuple[Hop, ...], tmp_path: Path) -> None:
    assert ways(tmp_path, jump, "[web]\nweb1\n") == {"web1": hops}


@pytest.mark.parametrize(
    "args",
    [
        "-J outer",
        "-J outer,inner",
        "-o ProxyJump=outer",
        "-oProxyJump=outer",
        '-o ProxyCommand="ssh -W %h:%p -q outer"',
        "-o ProxyCommand='ssh -q -W %h:%p outer'",
        "-J {{ gate }}",
    ],
)
@pytest.mark.parametrize("which", ["ssh_common_args", "ssh_extra_args", "ssh_args"])
def test_jumps_of_the_inventory_win_over_the_play_s(args: str, which: str, tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/web.yml").write_text(f"gate: outer\nansible_{which}: {args!r}\n")
    wanted = (OUTER, INNER) if "inner" in args else (OUTER,)
    assert ways(tmp_path, "[gate.example.org]", "[web]\nweb1\n") == {"web1": wanted}


def test_a_host_may_be_reached_without_the_play_s_jump(tmp_path: Path) -> None:
    inventory = '[web]\nweb1\nweb2 ansible_ssh_common_args="-o ProxyJump=none"\nweb3 ansible_connection=local\n'
    assert ways(tmp_path, "[outer]", inventory) == {"web1": (OUTER,), "web2": (), "web3": ()}


def test_a_port_and_a_user_of_a_proxy_command_count(tmp_path: Path) -> None:
    inventory = "[web]\nweb1 ansible_ssh_common_args=\"-o ProxyCommand='ssh -W %h:%p -p 99 me@gate'\"\n"
    assert ways(tmp_path, "", inventory)["web1"] == (Hop(name="gate", address="gate", port=99, user="me"),)


@pytest.mark.bad("B86")
def test_a_host_that_is_a_hop_itself_is_reached_by_the_hops_before_it(tmp_path: Path) -> None:
    found = ways(tmp_path, "[outer, inner]", "[web]\nweb1\nouter\ninner\n")
    assert found == {"web1": (OUTER, INNER), "outer": (), "inner": (OUTER,)}


def test_the_first_hop_s_own_way_comes_before_it_and_that_of_the_others_does_not(tmp_path: Path) -> None:
    inventory = '[web]\nweb1\n[edge]\nedge ansible_host=198.51.100.1\n[gates:vars]\nansible_ssh_common_args="-J edge"\n'
    edge = Hop(name="edge", address="198.51.100.1", user="deploy")
    assert ways(tmp_path, "[outer, inner]", inventory) == {"web1": (edge, OUTER, INNER)}


def test_jumps_for_all_are_none_for_the_jump_itself(tmp_path: Path) -> None:
    inventory = '[all:vars]\nansible_ssh_common_args="-J outer"\n[web]\nweb1\nouter\n'
    assert ways(tmp_path, "", inventory) == {"web1": (OUTER,), "outer": ()}


def test_limit_does_not_narrow_who_may_be_jumped_over(tmp_path: Path) -> None:
    assert ways(tmp_path, "[outer]", "[web]\nweb1\nweb2\n", limit="web1")["web1"] == (OUTER,)


def test_balancers_and_hosts_of_tasks_are_reached_through_their_jump(tmp_path: Path) -> None:
    text = SMALL.replace("load_balancers: none", "load_balancers: [{ haproxy: { via: lb1, socket: /s, backend: b } }]")
    text += "  connection: { jump: [outer], user: deploy }\n"
    text += "  hooks: { before_batch: { run: [id], where: inner } }\n"
    play = loaded(tmp_path, text, "[web]\nweb1\n[lb]\nlb1\n" + GATES)
    (pool,) = play.pools
    connection = getattr(pool, "connection", None)
    assert isinstance(connection, Connection)
    assert connection.jump == (OUTER,)
    (ask,) = asks(play)
    assert [c.jump for c in ask.delegates.values()] == [(OUTER,)]


@pytest.mark.bad("B36")
def test_one_address_behind_two_jumps_is_two_hosts(tmp_path: Path) -> None:
    inventory = (
        '[web]\nweb1 ansible_host=10.0.0.9 ansible_ssh_common_args="-J outer"\n'
        'web2 ansible_host=10.0.0.9 ansible_ssh_common_args="-J gate.example.org"\n'
    )
    assert len(ways(tmp_path, "", inventory)) == 2
    assert "E_DUP_HOST" in refused(tmp_path, "", inventory.replace("gate.example.org", "outer"))


@pytest.mark.bad("B86")
@pytest.mark.parametrize(
    ("jump", "more", "said"),
    [
        ("[oter]", "", "play.yml:6:37: E_JUMP: The jump host `oter` is not in the inventory. Did you mean `outer`?"),
        ("[gates]", "", "E_JUMP: `gates` is a group, and a jump is one host. Write a host of the inventory, or user@"),
        (
            "[10.0.0.7]",
            " ansible_host=10.0.0.7",
            "E_JUMP: `web1` has the address and port of `10.0.0.7`, its jump host.",
        ),
        ("[outer, inner, outer]", "", "E_JUMP: The way to `web1` leads through `outer` twice. Name it once."),
        ("[a.b, c.d, e.f, g.h, i.j, k.l, m.n, o.p, q.r]", "", "has 9 hops, and 8 are allowed"),
        (
            "[here]",
            "\n[h]\nhere ansible_connection=local",
            "E_JUMP: The jump host `here` is this machine. Leave it out.",
        ),
        ("[Bad!User@h]", "", "play.yml:6:38: E_USER: `connection.jump[0]`: User `Bad!User` is not a login name"),
        ("[a.b:0]", "", "E_PORT: `connection.jump[0]`: Port `0` is not a whole number from 1 to 65535."),
        ('["-oProxyCommand=id"]', "", "begins with `-`: ssh would take it for an option"),
        ('["a]b[c"]', "", "is no jump host."),
        ("", ' ansible_ssh_common_args="-J a,web1,$x"', "E_CONNECTION_VAR"),
        ("", ' ansible_ssh_common_args="-J a:99999"', "hosts.ini:2:6: E_PORT: ansible_ssh_common_args: port `99999`"),
        ("", ' ansible_ssh_common_args="-J a.b" ansible_ssh_extra_args="-J c.d"', "says another way than"),
        ("", ' ansible_ssh_common_args="-J gates"', "hosts.ini:2:6: E_JUMP: `gates` is a group"),
    ],
)
def test_what_is_no_way(jump: str, more: str, said: str, tmp_path: Path) -> None:
    assert said in refused(tmp_path, jump, f"[web]\nweb1{more}\n")


@pytest.mark.bad("B86")
def test_ways_that_lead_back(tmp_path: Path) -> None:
    inventory = (
        '[web]\nweb1\n[ring]\na ansible_ssh_common_args="-J b"\nb ansible_ssh_common_args="-J c"\n'
        'c ansible_ssh_common_args="-J a"\n'
    )
    said = refused(tmp_path, "[a]", inventory)
    assert "E_JUMP: The way to `c` leads back to it: web1, a, b, c, a." in said


def test_what_is_wrong_with_a_hop_itself_is_said_where_it_stands(tmp_path: Path) -> None:
    assert "hosts.ini:4:6: E_PORT" in refused(tmp_path, "[gate]", "[web]\nweb1\n[g]\ngate ansible_port=0\n")
