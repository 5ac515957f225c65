"""One zstd frame: what its header asks for, before a byte of it is unpacked, and who unpacks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout.artifacts.limits import MIB, ArtifactFault, Limits

if TYPE_CHECKING:
    from rollout.artifacts.formats import Inflate

MAGIC = b"\x28\xb5\x2f\xfd"
DICTIONARY_SIZES = (0, 1, 2, 4)


def unzstd(first: bytes, limits: Limits) -> tuple[Inflate, str, type[Exception]]:
    """Return what unpacks a file that begins so, its name, and what it raises; raise ArtifactFault.

    One frame, as ``zstd`` makes it: a second one is refused like bytes behind the end are.
    """
    look_at_frame(first, limits)
    try:
        from backports import zstd
    except ImportError:
        what = "it is packed with zstd, and no library for that is here."
        raise ArtifactFault("E_ZSTD", what, "Type: pip install 'rollout[zstd]'") from None
    longest = limits.window.bit_length() - 1
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: longest}
    return zstd.ZstdDecompressor(options=options), "zstd", zstd.ZstdError


def look_at_frame(first: bytes, limits: Limits) -> None:
    """Refuse a frame that looks back too far, says that it holds too much, or needs a dictionary."""
    flags = first[4] if len(first) > 4 else 0
    is_single, at = flags & 0x20, 5
    window = 0
    if not is_single:
        said = int.from_bytes(first[5:6])
        window = (1 << (10 + (said >> 3))) // 8 * (8 + (said & 7))
        at += 1
    dictionary = DICTIONARY_SIZES[flags & 3]
    if any(first[at : at + dictionary]):
        raise ArtifactFault("E_ARCHIVE", "its zstd data needs a dictionary.", "Pack it without -D.")
    size = _size(first[at + dictionary :], flags >> 6, bool(is_single))
    if size > limits.unpacked:
        raise ArtifactFault("E_ARCHIVE_LIMIT", f"it says that it unpacks to {size} bytes.")
    if max(window, size if is_single else 0) > limits.window:
        what = f"its zstd data looks back more than {limits.window // MIB} MiB."
        raise ArtifactFault("E_ARCHIVE_LIMIT", what, "Pack it with zstd -19, without --long.")


def _size(rest: bytes, kind: int, is_single: bool) -> int:
    """Return how much a frame says that it holds; 0 where it does not say."""
    if kind == 0:
        return int.from_bytes(rest[:1]) if is_single else 0
    return int.from_bytes(rest[: 1 << kind], "little") + (256 if kind == 1 else 0)
