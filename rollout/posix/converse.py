"""Speak to a balancer's runtime socket from the host that it is on, with whatever is there to speak with.

``AskBalancer`` reads: it takes no lock and leaves nothing behind. ``TellBalancer`` writes, under lock and fence,
which lie in ``~/.rollout/<environment>/<app>/`` of the user that logs in: a host that is only a balancer
has no root of the app's. Only the command that speaks to the socket runs as ``become``.

The tail of the reply: ``#`` before each line's answer, ``|`` before each line of it; anything else is what the
command complained of, or ``status N`` of one that failed.
"""

from __future__ import annotations

from rollout.posix.op import AskBalancer, TellBalancer
from rollout.posix.quote import Script, assign, lean, listing

MOST_BYTES = 400_000  # of one answer; what a session keeps of a step is not much more

TOOLS = ("socat", "nc", "perl", "python3")  # in the order in which they are liked

_PERL = (
    "alarm shift; my ($p, $h, $n) = @ARGV; "
    'my $s = $p ne "" ? IO::Socket::UNIX->new(Peer => $p) : IO::Socket::INET->new(PeerAddr => $h, PeerPort => $n); '
    '$s or die "$!\\n"; print $s <STDIN>; while (sysread $s, $_, 65536) { print }'
)
_PYTHON = """\
import socket, sys
t, p, h, n = sys.argv[1:]
try:
    if p:
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(float(t))
        s.connect(p)
    else:
        s = socket.create_connection((h, int(n)), float(t))
    s.sendall(sys.stdin.buffer.read())
    while 1:
        d = s.recv(65536)
        if not d:
            break
        sys.stdout.buffer.write(d)
except OSError as e:
    sys.exit(str(e))
"""

# Each tool ends by itself after so many seconds of silence: what runs as another user could not be killed.
_TALK = lean(r"""
    can() {
        command -v "$1" >/dev/null 2>&1 || return 1
        case $1 in
            nc) [ -z "$path" ] || nc -h 2>&1 | grep -q -e -U;;
            perl) perl -MIO::Socket::UNIX -MIO::Socket::INET -e 1 2>/dev/null;;
        esac
    }
    choose() {
        tool=$proven
        [ -z "$tool" ] || ! command -v "$tool" >/dev/null 2>&1 || return 0
        for tool in $liked; do if can "$tool"; then return; fi; done
        refuse E_LB_TOOL "none of socat, nc -U, perl and python3 is here; install one: apt-get install socat"
    }
    speak() {
        case $tool in
            socat) set -- socat -t "$patience" -T "$patience" - "${path:+UNIX-CONNECT:$path}${tcp:+TCP:$tcp}";;
            nc) if [ -n "$path" ]; then set -- nc -w "$patience" -U "$path"
                else set -- nc -w "$patience" "$host" "$port"; fi;;
            perl) set -- perl -MIO::Socket::UNIX -MIO::Socket::INET -e "$inperl" "$patience" "$path" "$host" "$port";;
            *) set -- python3 -c "$inpython" "$patience" "$path" "$host" "$port";;
        esac
        if [ -n "$become" ] && [ "$become" != "$(id -un)" ]; then set -- sudo -n -u "$become" -- "$@"; fi
        "$@"
    }
    work() {
        choose
        f tool "$tool"
        each line talk
        finish done
    }
    # talk LINE: who does not answer one line is not asked the next
    talk() {
        tails '#'
        got=$({ answer "$1" | head -c "$most" | sed 's/^/|/'; } 3>&1)
        tails "$got"
        case $nl$got in *"$nl|"*) ;; *) finish done;; esac
    }
    # answer LINE: complaints go where they cannot be taken for an answer
    answer() { printf '%s\n' "$1" | speak 2>&3 || echo "status $?" >&3; }
""")


def script(deed: AskBalancer | TellBalancer) -> Script:
    """Return the script body: every line is said over a connection of its own."""
    host, _, port = deed.tcp.rpartition(":")
    said = assign("path", deed.socket) + assign("tcp", deed.tcp)
    said += assign("host", host.strip("[]")) + assign("port", port)
    said += assign("patience", max(1, int(deed.patience_s))) + assign("most", MOST_BYTES)
    said += assign("proven", deed.tool if deed.tool in TOOLS else "") + assign("liked", " ".join(TOOLS))
    said += assign("inperl", _PERL) + assign("inpython", _PYTHON)
    return said + listing("line", deed.lines) + _TALK
