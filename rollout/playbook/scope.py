"""jinja2 as playbooks see it: sandboxed, strict, variables that refer to variables, nothing random.

Only the rendering child imports this (sandbox.py).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from jinja2 import StrictUndefined, Undefined, meta, nodes
from jinja2.exceptions import SecurityError, UndefinedError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from rollout.playbook.guards import FILTERS, TESTS, Secrets
from rollout.playbook.nodes import has_template

_NAME = re.compile(r"'([A-Za-z_][A-Za-z0-9_]*)' is undefined|(?:filter|test)(?: named)? '([^']+)'")
MAX_CHAIN = 50  # variables that refer to variables


class Refused(Exception):
    """A template that is refused by a rule of ours."""

    def __init__(self, code: str, what: str) -> None:
        self.code = code
        self.what = what
        super().__init__(what)


class Cycle(Exception):
    """Variables that refer to each other; ``names`` in the order they were met."""

    def __init__(self, *names: str) -> None:
        self.names = names
        super().__init__(" > ".join(names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A compiled text: ``whole`` keeps the type of its expression, ``parts`` makes a text. ``names`` it looks up."""

    names: frozenset[str]
    whole: Any = None
    parts: Any = None


class LazyContext(Context):
    """Looks a name up in the scope of the moment, where variables are rendered when they are first asked for."""

    def resolve_or_missing(self, key: str) -> Any:
        """Return a variable's value, a global, or ``missing``."""
        if key in self.vars:
            return self.vars[key]
        scope = self.environment.scope  # type: ignore[attr-defined]
        found = scope.find(key)
        return self.parent.get(key, missing) if found is missing else found


class Jinja:
    """One environment, and the templates that it has compiled."""

    def __init__(self, environ: Mapping[str, str], nonce: str = "") -> None:
        self.secrets = Secrets(nonce, Refused)
        self.environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False, cache_size=0
        )
        self.environment.context_class = LazyContext
        self.environment.globals |= {
            "lipsum": _random,
            "env": lambda name: _env(environ, name),
            "secret": self.secrets.secret,
        }
        self.environment.filters["random"] = _random
        self.environment.filters["bool"] = _bool
        self.environment.filters = self.secrets.guarded(self.environment.filters, FILTERS)
        self.environment.tests = self.secrets.guarded(self.environment.tests, TESTS)
        self.compiled: dict[str, Template] = {}

    def template(self, text: str) -> Template:
        """Compile a text, once."""
        found = self.compiled.get(text)
        if found is None:
            found = self.compiled[text] = self._compile(text)
        return found

    def _compile(self, text: str) -> Template:
        tree = self.environment.parse(text)
        if any(tree.find(kind) for kind in (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)):
            raise Refused("E_TEMPLATE_UNSAFE", "A template cannot include, import or extend another file.")
        names = frozenset(meta.find_undeclared_variables(tree))
        inner = _whole(tree, text)
        if inner is not None:
            return Template(names=names, whole=self.environment.compile_expression(inner, undefined_to_none=False))
        return Template(names=names, parts=self.environment.from_string(text))

    @contextmanager
    def seeing(self, scope: Scope) -> Iterator[None]:
        """Let templates look names up in a scope."""
        before = getattr(self.environment, "scope", None)
        self.environment.scope = scope  # type: ignore[attr-defined]
        try:
            yield
        finally:
            self.environment.scope = before  # type: ignore[attr-defined]


def _whole(tree: nodes.Template, text: str) -> str | None:
    """Return the expression of a text that is one whole ``{{ … }}``, or None."""
    body = tree.body
    if len(body) != 1 or not isinstance(body[0], nodes.Output) or len(body[0].nodes) != 1:
        return None
    stripped = text.strip()
    if isinstance(body[0].nodes[0], nodes.TemplateData):
        return None
    if not (stripped.startswith("{{") and stripped.endswith("}}")):
        return None
    inner = stripped[2:-2]
    return inner[1 if inner[:1] in "-+" else 0 : -1 if inner[-1:] == "-" else None]


def _bool(value: object) -> bool:
    """Read a value as Ansible's filter of this name does: -e gives texts."""
    said = str(value).lower() if isinstance(value, str | int) else ""
    if said in ("true", "yes", "on", "1", "t", "y"):
        return True
    if said in ("false", "no", "off", "0", "f", "n"):
        return False
    raise Refused("E_TEMPLATE", f"`bool` reads yes and no, true and false, on and off, 1 and 0; this is {said[:40]!r}")


def _random(*_: object) -> NoReturn:
    """Refuse what differs from run to run."""
    raise SecurityError("nothing random: the same playbook must give the same plan")


def _env(environ: Mapping[str, str], name: object) -> str:
    """Return a variable of the controller's environment, if the list allows it."""
    if isinstance(name, str) and name in environ:
        return environ[name]
    raise UndefinedError(f"the environment variable {str(name)[:60]!r} is not set, or is not one that may be read")


class Scope:
    """What one host's templates see: raw variables, rendered when asked for and kept."""

    def __init__(self, jinja: Jinja, common: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        self.jinja = jinja
        self.common = common
        self.own = own
        self.ready: dict[str, Any] = {}
        self.unresolved: dict[str, str] = {}  # names that are not there -> the variable that is nothing but them
        self.within: list[str] = []  # variables being rendered; kept after an error, to tell where it was

    def find(self, name: str) -> Any:
        """Return a variable, rendered, or ``missing``."""
        if name in self.ready:
            return self.ready[name]
        raw = self.own.get(name, missing)
        raw = self.common.get(name, missing) if raw is missing else raw
        if raw is missing or not _holds_template(raw):
            return raw
        return self._rendered(name, raw)

    def _rendered(self, name: str, raw: Any) -> Any:
        if name in self.within:
            raise Cycle(*self.within[self.within.index(name) :], name)
        if len(self.within) >= MAX_CHAIN:
            raise Refused("E_VAR_CYCLE", f"More than {MAX_CHAIN} variables refer to one another in a chain.")
        self.within.append(name)
        value = self.ready[name] = self._value(raw)
        if isinstance(value, Undefined):
            self.unresolved[str(value._undefined_name)] = name
        self.within.pop()
        return value

    def _value(self, raw: Any) -> Any:
        """Render every text inside a variable's value."""
        if isinstance(raw, str):
            return self.render(self.jinja.template(raw)) if has_template(raw) else raw
        if isinstance(raw, list):
            return [self._value(item) for item in raw]
        if isinstance(raw, dict):
            return {key: self._value(item) for key, item in raw.items()}
        return raw

    def render(self, template: Template) -> Any:
        """Return a template's value in this scope."""
        with self.jinja.seeing(self):
            if template.whole is not None:
                return template.whole()
            return template.parts.render()

    def names_behind(self, template: Template) -> set[str]:
        """Return every name that a template looks up, through the variables all hosts share."""
        found: set[str] = set()
        todo = set(template.names)
        while todo:
            name = todo.pop()
            found.add(name)
            for text in _texts(self.common.get(name)):
                todo |= self.jinja.template(text).names - found
        return found

    def missing(self, message: str) -> str:
        """Return the name that a message says is not there, or nothing."""
        found = _NAME.search(message)
        return next((g for g in found.groups() if g), "") if found else ""

    def near(self, message: str) -> str:
        """Return the nearest name there is to the one that a message misses, or nothing."""
        name = self.missing(message)
        environment = self.jinja.environment
        known = [*self.own, *self.common, *environment.globals]
        if "filter" in message:
            known = [*environment.filters]
        return next(iter(difflib.get_close_matches(name, known[:10_000], n=1, cutoff=0.7)), "") if name else ""


def _holds_template(raw: Any) -> bool:
    """Whether anything inside a raw value is a template."""
    return next(_texts(raw), None) is not None


def _texts(raw: Any) -> Iterator[str]:
    """Yield the templates inside a raw value."""
    if isinstance(raw, str):
        if has_template(raw):
            yield raw
    elif isinstance(raw, list):
        for item in raw:
            yield from _texts(item)
    elif isinstance(raw, dict):
        for item in raw.values():
            yield from _texts(item)
