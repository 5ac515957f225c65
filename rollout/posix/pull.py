"""A release that the host fetches itself: what it asks with comes on standard input, and what it gets is hashed.

The payload is the request, in the words of curl's configuration and always of one length, then the manifest's text.
So neither the URL nor a header stands in an argument, an environment or a file; curl reads them from a pipe. A redirect
is followed here and not by curl, which would send headers of the play on to whoever is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from rollout.posix.op import Install
from rollout.posix.quote import Script, assign, lean

SIZE = 16_384  # bytes of a request
REDIRECTS = 5
_INERT = re.compile(r"[^\x00-\x1f\x7f]*")

# receive: as install.py's, but that what comes says where the artifact is.
TEXT = lean(r"""
    based() { command -v curl >/dev/null 2>&1 || refuse E_TOOL "curl is not there, and fetching a release takes it"; }
    receive() {
        placed
        left
        asks=$({ dd bs="$request" count=1 iflag=fullblock 2>/dev/null || dd bs=1 count="$request" 2>/dev/null; } <&8)
        said=$({ timeout -s KILL "$left" head -c "$extra" <&8 8<&- >"$stage/manifest"; } 2>&1)
        fetch
        said= got=$(wc -c <"$stage/payload")
        digests
    }
    # fetch: the answer goes into the payload, no more of it than it is to have; its status and where it leads, into w
    fetch() {
        hops=0
        while :; do
            left
            w=$({ { printf '%s\n' "$asks" | curl -q -s --proto =https --connect-timeout 10 --max-time "$left" \
                -o /dev/fd/3 -w '%{http_code} %{redirect_url}\n' -K - 3>&1 1>&4 8<&-; echo "$?" >&4; } |
                head -c "$((size + 1))" >"$stage/payload"; } 4>&1 2>/dev/null)
            code=${w%%[ "$nl"]*} d=${w#* } d=${d%%"$nl"*} x=${w##*"$nl"}
            case $x:$code in
                0:200 | 23:200) return;;
                0:30[12378]) follow "$d";;
                0:*) spoiled E_FETCH "the server answers $code";;
                *) unfetched "$x";;
            esac
        done
    }
    follow() {
        hops=$((hops + 1))
        [ "$hops" -le "$redirects" ] || spoiled E_FETCH "the server redirects more than $redirects times"
        case $1 in
            *[!!-~]* | *[\"\\]*) spoiled E_FETCH "the server redirects to what is no URL";;
            https://*) asks="url = \"$1\"";;
            *) spoiled E_FETCH "the server redirects to something else than https://";;
        esac
    }
    unfetched() {
        room || spoiled E_DISK "$root is full"
        case $1 in
            6) x="its name is not known here";;
            7) x="it cannot be reached from here";;
            28) x="it takes too long";;
            35 | 51 | 58 | 60 | 77) x="it is not trusted here, or does not speak TLS";;
            *) x="curl ended with status $1";;
        esac
        spoiled E_FETCH "nothing comes from the server: $x"
    }
    gather() { :; }
    unlike() { :; }
""")


def arguments(_: Install) -> Script:
    """Return what the text reads."""
    return assign("request", SIZE) + assign("redirects", REDIRECTS)


def request(url: str, headers: Mapping[str, str]) -> bytes:
    """Return what the host asks with; ValueError for what no request can carry."""
    words = [("url", url), *(("header", f"{name}: {value}") for name, value in headers.items())]
    if not all(_INERT.fullmatch(value) for _, value in words) or not url.startswith("https://"):
        raise ValueError("not an https:// URL, or a control character in a header")
    said = "".join(f'{word} = "{_quoted(value)}"\n' for word, value in words).encode()
    if len(said) > SIZE:
        raise ValueError(f"a URL and headers of {len(said)} bytes, and {SIZE} are the most")
    return said.ljust(SIZE, b"\n")


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
