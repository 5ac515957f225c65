"""Connection variables by the allow-list; and hosts that are one machine under two names."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.inventory import InventoryHost, PatternError, Place, load_inventory
from rollout.inventory.connection import connection_for, duplicates
from rollout.model.host import Become, Connection, HostName

PLAY = Connection(address="", port=2200, user="deploy", key_files=("play.key",), connect_timeout_s=3.0)

REFUSED = [
    *("ssh_extra_args", "ssh_args", "sftp_extra_args", "scp_extra_args", "ssh_executable", "password", "ssh_pass"),
    *("ssh_password", "become_password", "become_pass", "sudo_pass", "become_exe", "become_flags", "shell_executable"),
    *("paramiko_proxy_command", "host_key_checking", "ssh_host_key_checking", "ssh_host", "remote_tmp", "docker_host"),
]


def read(**variables: object) -> tuple[Connection, list[str]]:
    named = {f"ansible_{k}": v for k, v in variables.items()}
    host = InventoryHost(name=HostName("web1"), variables=named, place=Place("hosts", 4, 1))
    made, problems = connection_for(host, PLAY)
    return made, [p.code for p in problems]


def test_without_variables_it_is_the_plays_and_the_hosts_name() -> None:
    assert read() == (
        Connection(address="web1", port=2200, user="deploy", key_files=("play.key",), connect_timeout_s=3.0),
        [],
    )


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"host": "10.0.0.1"}, {"address": "10.0.0.1"}),
        ({"host": "::1", "port": 22}, {"address": "::1", "port": 22}),
        ({"port": "2222"}, {"port": 2222}),
        ({"user": "vagrant"}, {"user": "vagrant"}),
        ({"ssh_private_key_file": "k"}, {"key_files": ("k",)}),
        ({"private_key_file": "~root/k"}, {"key_files": (str(Path("~root/k").expanduser()),)}),
        ({"connection": "local"}, {"transport": "local"}),
        ({"connection": "ssh"}, {"transport": "fabric"}),
        ({"connection": "paramiko"}, {"transport": "fabric"}),
        ({"become": True}, {"become": Become(user="root")}),
        ({"become": "yes", "become_user": "www", "become_method": "sudo"}, {"become": Become(user="www")}),
        ({"become": "false"}, {"become": None}),
        (
            {"python_interpreter": "/usr/bin/python3", "pipelining": True, "ssh_pipelining": True, "distribution": "x"},
            {},
        ),
        ({"ssh_common_args": ""}, {}),
    ],
)
def test_ansibles_variables_win_over_the_play(variables: dict[str, object], wanted: dict[str, object]) -> None:
    made, codes = read(**variables)
    assert codes == []
    plain = Connection(address="web1", port=2200, user="deploy", key_files=("play.key",), connect_timeout_s=3.0)
    assert {k: getattr(made, k) for k in wanted} == wanted
    assert {k: getattr(made, k) for k in ("address", "port", "user", "become") if k not in wanted} == {
        k: getattr(plain, k) for k in ("address", "port", "user", "become") if k not in wanted
    }


@pytest.mark.bad("B81", "B82", "B83")
@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"host": "-oProxyCommand=x"}, "E_HOSTNAME"),
        ({"host": 5}, "E_CONNECTION_VAR"),
        ({"host": ""}, "E_HOSTNAME"),
        ({"port": 0}, "E_PORT"),
        ({"port": True}, "E_PORT"),
        ({"port": 22.0}, "E_PORT"),
        ({"user": "a$(id)"}, "E_USER"),
        ({"become_user": "a\\b"}, "E_USER"),
        ({"become_method": "su"}, "E_NOT_BUILT"),
        ({"become": "maybe"}, "E_CONNECTION_VAR"),
        ({"connection": "docker"}, "E_CONNECTION_VAR"),
        ({"connection": ["ssh"]}, "E_CONNECTION_VAR"),
        ({"ssh_private_key_file": ""}, "E_CONNECTION_VAR"),
        ({"host": "{{ ip }}"}, "E_TEMPLATE"),
        ({"ssh_common_args": '-o ProxyCommand="touch /tmp/x"'}, "E_CONNECTION_VAR"),
        ({"ssh_common_args": '-o ProxyCommand="ssh -W %h:%p $(id)"'}, "E_CONNECTION_VAR"),
        ({"ssh_common_args": "-o StrictHostKeyChecking=no"}, "E_CONNECTION_VAR"),
    ]
    + [({name: "x"}, "E_CONNECTION_VAR") for name in REFUSED],
)
def test_what_would_run_code_or_weaken_the_connection_is_refused_by_name(
    variables: dict[str, object], code: str
) -> None:
    assert read(**variables)[1] == [code]


def test_a_problem_stands_where_the_variable_was_written(tmp_path: Path) -> None:
    (tmp_path / "host_vars").mkdir()
    (tmp_path / "host_vars/b.yml").write_text("x: 1\nansible_port: 0\n")
    (tmp_path / "hosts").write_text("a ansible_user=a$b\nb\nc\n[g]\nc\n[g:vars]\nansible_ssh_executable=/tmp/x\n")
    inventory = load_inventory([tmp_path / "hosts"], None)
    found = [str(p).split(": ")[:2] for h in inventory.hosts.values() for p in connection_for(h, PLAY)[1]]
    assert found == [
        [f"{tmp_path}/hosts:1:3", "E_USER"],
        [f"{tmp_path}/host_vars/b.yml:2:1", "E_PORT"],
        [f"{tmp_path}/hosts:7:1", "E_CONNECTION_VAR"],
    ]


@pytest.mark.bad("B36")
def test_one_address_and_port_under_two_names_is_refused() -> None:
    at = [("a", "10.0.0.1", 22), ("b", "10.0.0.1", 2222), ("c", "10.0.0.1", 22), ("d", "Web1", 22), ("e", "web1", 22)]
    found = duplicates(
        {HostName(n): (Connection(address=a, port=p), Place("hosts", i)) for i, (n, a, p) in enumerate(at, 1)}
    )
    assert [(p.code, p.line) for p in found] == [("E_DUP_HOST", 3), ("E_DUP_HOST", 5)]


def test_localhost_is_there_without_being_named_and_not_in_all(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("web1\n[all:vars]\nx=1\n")
    inventory = load_inventory([tmp_path / "hosts"], None)
    (name,) = inventory.match("localhost")
    assert list(inventory.hosts) == ["web1"]
    assert inventory.hosts[name].variables == {"x": 1, "ansible_connection": "local"}
    assert connection_for(inventory.hosts[name], PLAY)[0].transport == "local"


@pytest.mark.bad("B38")
@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("wbe", "Did you mean `web`"),
        ("web:!wbe", "Did you mean `web`"),
        ("web:&wbe", "Did you mean `web`"),
        ("web1,wbe", "Did you mean `web`"),
        ("wbe*", "no host or group"),
        ("web:&prod,web", "either commas or colons"),
        ("web:22", "host and port"),
        ("web[7]", "there is only 1 host."),
        ("web[1:0]", "backwards"),
        ("~web(", "regular expression"),
        ("", "not a host pattern"),
        (" , ", "not a host pattern"),
        ("web:!", "not a host pattern"),
        ("wbe\x1b[31m", "x1b"),
    ],
)
def test_bad_patterns_are_refused_with_a_hint(pattern: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("[web]\nweb1\n[prod]\n")
    with pytest.raises(PatternError) as refused:
        load_inventory([tmp_path / "hosts"], None).match(pattern)
    assert said in str(refused.value)
    assert str(refused.value).isprintable()


def test_empty_groups_and_globs_that_leave_nothing_out_are_fine(tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("[web]\nweb1\n[prod]\n")
    inventory = load_inventory([tmp_path / "hosts"], None)
    assert inventory.match("web:!prod") == inventory.match("web:!*.old") == inventory.match("all:!~x") == ("web1",)
    assert inventory.match("web:&prod") == inventory.match("prod") == ()
