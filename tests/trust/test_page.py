"""The commands of the page about signatures, typed as they stand there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_docs import BLOCKS
from tests.trust.bench import RELEASE, Bench

SHELL = [text for page, kind, _, _, text in BLOCKS if (page, kind) == ("signatures.md", "signed")]


@pytest.mark.timeout(60)
def test_what_the_page_types_makes_a_signature_that_is_taken(bench: Bench) -> None:
    (bench.folder / "dist").mkdir()
    bench.artifact("v1").rename(bench.folder / "dist" / "shop-1.4.2.tar.gz")
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for text in SHELL:
        subprocess.run(["sh", "-euc", text], cwd=bench.folder, env=env, check=True, capture_output=True)
    lines = (bench.folder / "allowed_signers").read_text()
    assert lines.startswith(f"{RELEASE} ssh-ed25519 ")
    assert len(lines.split()) == 3
    play = bench.play("v1")
    said = play.read_text().replace("shop-v1.tar", "dist/shop-1.4.2.tar.gz").replace("allowed,", "allowed_signers,")
    play.write_text(said.replace('"v1"', '"1.4.2"'))
    assert f"signed    by {RELEASE}" in bench.roll("plan").text
