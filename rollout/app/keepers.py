"""Whether a new policy is signed by somebody whom the one before it names: ``ssh-keygen -Y``, in its own namespace."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

NAMESPACE = "rollout-policy@v1"  # a signature that was made for anything else never counts
ASK_S = 20.0


def signed_by(data: bytes, signature: bytes, keepers: Sequence[str]) -> str:
    """Return who of these signed it, "" for nobody. ``keepers``: lines of ``allowed_signers``."""
    if not signature or not keepers:
        return ""
    with tempfile.TemporaryDirectory(prefix="rollout-policy-") as folder:
        allowed, kept = Path(folder, "allowed"), Path(folder, "signature")
        allowed.write_text("\n".join(keepers) + "\n")
        kept.write_bytes(signature)
        found = _asked(["find-principals", "-s", str(kept), "-f", str(allowed)], b"").split("\n")[0]
        words = ["verify", "-f", str(allowed), "-I", found, "-n", NAMESPACE, "-s", str(kept)]
        return found if found and _asked(words, data) else ""


def _asked(words: Sequence[str], data: bytes) -> str:
    """Return what ssh-keygen says when it is content, "" when it is not or is not there."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed words and paths of our own, no shell
            ["ssh-keygen", "-Y", *words],  # noqa: S607 - the user's OpenSSH
            input=data,
            capture_output=True,
            timeout=ASK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""
