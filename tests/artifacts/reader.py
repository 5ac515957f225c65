"""Read the archives of a folder and print what became of each, as JSON: ``python -m tests.artifacts.reader FOLDER``.

Nothing but the standard library and this checkout is needed, so that any Python can be asked.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rollout.artifacts.limits import Limits
from rollout.artifacts.package import prepare
from rollout.errors import InputError
from rollout.model.play import ArtifactAsk


def verdict(path: Path, limits: dict[str, int], allow: list[str]) -> str:
    """Return the codes of a refusal, or the digest of the manifest of what is let through."""
    ask = ArtifactAsk(path=str(path), allow_links=tuple(allow))
    try:
        package = prepare(ask, path.parent / f"cache-{path.name}", Limits(**limits))
    except InputError as problem:
        return " ".join(sorted({p.code for p in problem.problems}))
    package.close()
    return package.manifest_sha256


def main(folder: Path) -> None:
    index = json.loads((folder / "index.json").read_text())
    print(json.dumps({name: verdict(folder / name, *said) for name, said in index.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
