"""``release.templates``: files of the project, rendered whole for each host, by the same child as every template."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rollout.errors import InputError, Problem
from rollout.inventory.project import WHY, below, project_of
from rollout.model.host import HostName
from rollout.model.release import RenderedFile, Shared
from rollout.playbook.files import Text, read
from rollout.playbook.hostmodels import TemplateModel
from rollout.playbook.hostparts import beside
from rollout.playbook.nodes import Node, Path, Place, Scalar, descend, written_at
from rollout.playbook.said import problem, quoted
from rollout.playbook.templates import Rendered

PATH: Path = ("release", "templates")
LARGEST = 64 * 1024  # bytes of one file: it travels in the text of a step
ALL = 256 * 1024  # of all files of a host
AS_TEXT = "{{ '' }}"  # before a file, which is a text also where it is one whole `{{ … }}`

Asked = Mapping[HostName, tuple[int, Sequence[TemplateModel]]]  # with the number of the host
Files = dict[HostName, tuple[RenderedFile, ...]]


@dataclass(slots=True, kw_only=True)
class TemplateFiles:
    """The files of one play. ``digests``: of everything that was read, to be added to; ``texts``: read so far."""

    play: Node
    folder: str
    digests: dict[str, str] = field(default_factory=dict)
    texts: dict[str, Scalar] = field(default_factory=dict)

    def rendered(
        self, asked: Asked, render: Callable[[Sequence[Scalar]], list[Rendered]]
    ) -> tuple[Files, list[Problem]]:
        """Return each host's files, and what is wrong with those that some host asks for."""
        problems = [p for src in dict.fromkeys(_sources(asked)) for p in self._read(src)]
        wanted = [src for src in dict.fromkeys(_sources(asked)) if src in self.texts]
        answers = dict(zip(wanted, render([self.texts[src] for src in wanted]), strict=True))
        for src, answer in answers.items():
            users = [number for number, models in asked.values() if any(m.src == src for m in models)]
            problems += answer.problems if any(map(answer.broken, users)) else ()
        found: Files = {}
        for host, (number, models) in asked.items():
            if all(m.src in answers and not answers[m.src].broken(number) for m in models):
                found[host] = tuple(_file(m, answers[m.src].of(number)) for m in models)
                problems += self._large(found[host])
        return found, list(dict.fromkeys(problems))

    def _read(self, src: str) -> list[Problem]:
        """Read a file of the project, once; return what is wrong with it."""
        if src in self.texts:
            return []
        path = beside(self.folder, src)
        if not below(project_of(os.path.realpath(self.folder)), path):
            what = f"The template {quoted(src)} lies outside the project."
            return [problem(self._place("src", src), "E_INCLUDE", what, WHY, "Put it below the project's folder.")]
        try:
            text = read(path)
        except InputError as error:
            return [self._placed(p, src) for p in error.problems]
        self.digests[path] = text.digest
        self.texts[src] = _scalar(text)
        return []

    def _placed(self, found: Problem, src: str) -> Problem:
        """Return a problem with a file where it stands in it, or where the play names it."""
        if found.line:
            return found
        return problem(self._place("src", src), found.code, f"{quoted(src)}: {found.what}", found.why, found.instead)

    def _place(self, key: str, value: str) -> Place:
        return written_at(self.play, PATH, key, value)

    def _large(self, files: Sequence[RenderedFile]) -> list[Problem]:
        """Refuse what would not travel with a step."""
        sizes = {f.path: len(f.content.encode()) for f in files}
        instead = "What is large belongs into the artifact."
        found = [
            problem(self._place("dest", path), "E_SIZE", f"`{path}` comes to more than 64 KiB.", "", instead)
            for path, size in sizes.items()
            if size > LARGEST
        ]
        if sum(sizes.values()) > ALL:
            what = "The rendered files of one host come to more than 256 KiB."
            found.append(problem(descend(self.play, PATH)[1], "E_SIZE", what, "", instead))
        return found

    def hidden(self, files: Sequence[RenderedFile], shared: Shared) -> list[Problem]:
        """Refuse a file that a link into ``shared`` would take the place of, or that would take the place of one."""
        links = (*shared.dirs, *shared.add, *(f.path for f in shared.files))
        return [
            problem(
                self._place("dest", file.path),
                "E_TEMPLATE_DEST",
                f"`{file.path}` and the shared `{link}` cannot both be there.",
                "What is shared outlives releases, and what is rendered is a part of one.",
                "Keep one of them.",
            )
            for file in files
            for link in links
            if link == file.path or link.startswith(f"{file.path}/") or file.path.startswith(f"{link}/")
        ]


def _sources(asked: Asked) -> Iterable[str]:
    return (model.src for _, models in asked.values() for model in models)


def _scalar(text: Text) -> Scalar:
    place = Place(file=text.file, line=1, column=1, source=text.line(1))
    return Scalar(place=place, value=AS_TEXT + text.text, text=text.text, lines=text.lines)


def _file(model: TemplateModel, content: object) -> RenderedFile:
    return RenderedFile(path=model.dest, content=str(content), mode=model.mode)
