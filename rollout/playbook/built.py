"""Every key of the language, and which of them are built.

The one table: what it calls not built is refused as such, never ignored. ``*`` stands for the
items of a list; a nested dict are the keys below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

BUILT: Final = True
LATER: Final = False

Keys = Mapping[str, "bool | Keys"]

_HTTP: Keys = {
    **dict.fromkeys(("port", "path", "status", "json", "scheme", "host", "headers"), BUILT),
    **dict.fromkeys(("method", "body", "timeout", "from"), BUILT),
    "tls": {"verify": BUILT},
}

_PLAIN: Keys = {
    **dict.fromkeys(("name", "run", "shell", "where", "cwd", "user", "env", "stdin", "timeout", "when"), BUILT),
    **dict.fromkeys(("creates", "idempotent", "prints", "ignore_failure"), BUILT),
}
_TASKS: Keys = {"*": {**_PLAIN, "on_revert": BUILT, "undo": _PLAIN}}

PLAY: Keys = {
    "name": BUILT,
    "app": BUILT,
    "hosts": BUILT,
    "order": BUILT,
    "serial": BUILT,
    "min_in_service": BUILT,
    "zones": LATER,
    "max_failures": BUILT,
    "max_fail_percentage": BUILT,
    "unreachable": BUILT,
    "allow_outage": BUILT,
    "forks": BUILT,
    "needs": BUILT,
    "when": BUILT,
    "vars": BUILT,
    "vars_files": BUILT,
    "connection": {
        "transport": BUILT,
        "user": BUILT,
        "jump": BUILT,
        "become": {"method": BUILT, "user": BUILT, "password": BUILT},
        "host_keys": BUILT,
        "known_hosts": BUILT,
        "connect_timeout": BUILT,
    },
    "release": {
        "id": BUILT,
        "artifact": dict.fromkeys(("path", "url", "headers", "strip", "exclude", "as", "mode"), BUILT),
        "sha256": BUILT,
        "signature": dict.fromkeys(("file", "allowed_signers", "identity", "revoked", "of", "namespace"), BUILT),
        "transfer": BUILT,
        "links": BUILT,
        "allow_links": BUILT,
        "root": BUILT,
        "shared": {
            "dirs": BUILT,
            "files": {"*": {"path": BUILT, "content": BUILT, "mode": BUILT}},
            "add": BUILT,
        },
        "templates": {"*": {"src": BUILT, "dest": BUILT, "mode": BUILT}},
        "prepare": _TASKS,
        "keep": BUILT,
        "keep_for": BUILT,
        "owner": {"user": BUILT, "group": BUILT},
    },
    "service": {
        "systemd": {"*": {"unit": BUILT, "action": BUILT, "timeout": BUILT, "hosts": BUILT}},
        "commands": {"start": BUILT, "stop": BUILT, "restart": BUILT, "status": BUILT},
        "process": {"command": BUILT, "stop_signal": BUILT, "stop_timeout": BUILT},
    },
    "load_balancers": {
        "*": {
            "haproxy": dict.fromkeys(("via", "socket", "tcp", "backend", "server", "hosts"), BUILT)
            | {"become": {"method": BUILT, "user": BUILT}},
            "nginx": LATER,
            "caddy": LATER,
            "traefik": LATER,
            "envoy": LATER,
            "elbv2": LATER,
            "consul": LATER,
            "command": LATER,
            "http": LATER,
        }
    },
    "drain": {"deadline": BUILT, "on_deadline": BUILT, "kill_rate": LATER}
    | {"start": _TASKS, "until": {**_PLAIN, "sessions": BUILT}, "undo": _PLAIN},
    "register": LATER,
    "health": {
        "checks": {
            "*": {
                "http": _HTTP,
                "tcp": dict.fromkeys(("port", "host", "timeout", "from"), BUILT),
                "command": {"run": BUILT, "timeout": BUILT},
            }
        },
        "interval": BUILT,
        "start_period": BUILT,
        "healthy_for": BUILT,
        "deadline": BUILT,
        "fall": BUILT,
        "watch_interval": BUILT,
        "max_restarts": LATER,
        "identity": BUILT,
    },
    "warmup": LATER,
    "gates": dict.fromkeys(("before_first", "after_batch", "during", "after_last"), LATER) | {"pause_timeout": BUILT},
    "hooks": {
        **dict.fromkeys(("before_rollout", "before_batch", "after_batch", "after_rollout"), _TASKS),
        **dict.fromkeys(("before_drain", "before_switch", "after_switch", "after_service"), _TASKS),
        **dict.fromkeys(("before_register", "after_register", "on_failure", "after_revert"), _TASKS),
    },
    "migrations": LATER,
    "on_failure": {"revert": BUILT, "before_switch": BUILT, "also": BUILT, "collect": BUILT},
    "limits": {"step_timeout": BUILT, "progress_deadline": BUILT, "upload_rate": BUILT},
    "windows": LATER,
    "notify": LATER,
}

TOP: Keys = {**PLAY, "environments": BUILT}  # which is taken apart before a play is read

# Words of other tools, and what they are called here.
ELSEWHERE: Final = {
    "environment": "Variables of processes are `env` of a task; the environment's name is given with --env.",
    "become": "Write it under `connection`: `connection: { become: { method: sudo, user: root } }`.",
    "remote_user": "Write `connection: { user: … }`.",
    "tasks": "A play here says what is released; what else is to run goes into `hooks`.",
    "roles": "A play here says what is released; what else is to run goes into `hooks`.",
    "pre_tasks": "What is to run before a batch goes into `hooks`.",
    "post_tasks": "What is to run after a batch goes into `hooks`.",
    "gather_facts": "Leave it out: nothing is gathered that a play could use.",
    "strategy": "Leave it out: `serial` and `min_in_service` say how many hosts are worked on.",
    "any_errors_fatal": "Leave it out: any failure halts unless `max_failures` allows it.",
    "canary": 'The first batch is one: `serial: [1, "10%", "100%"]`.',
    "defaults": "It is an element of its own, the first of the playbook: `- defaults: { … }`.",
}


def below(path: tuple[str | int, ...]) -> Keys | None:
    """Return the keys that may stand under a path, or None where there are none."""
    keys: bool | Keys = TOP
    for step in path:
        if not isinstance(keys, Mapping):
            return None
        if "*" in keys:
            keys = keys["*"]
            if isinstance(step, int) or not isinstance(keys, Mapping):
                continue
        if isinstance(step, int):
            continue
        keys = keys.get(step, LATER)
    item = keys.get("*", keys) if isinstance(keys, Mapping) else None
    return item if isinstance(item, Mapping) else None


def homes(key: str, keys: Keys = PLAY, path: str = "") -> list[str]:
    """Return the places under which a key may stand, the outermost first ("" is the play itself)."""
    found = [path] if key in keys and key != "*" else []
    for name, under in keys.items():
        if isinstance(under, Mapping):
            found += homes(key, under, path if name == "*" else f"{path}.{name}".lstrip("."))
    return sorted(found, key=lambda p: p.count(".") + bool(p))
