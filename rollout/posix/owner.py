"""The way to the user whose files an app's are: what stands before each step of an app that has an owner.

The SSH user reads this part, which asks sudo for the same reader as the owner. That one finds the step on what is left
of standard input, then the payload, and neither it nor the step knows that anybody came before.
"""

from __future__ import annotations

from rollout.posix import reply, service
from rollout.posix.op import Op
from rollout.posix.quote import Script, assign, lean

# One dd that takes the script in one read where dd can (fullblock never reads ahead), byte by byte elsewhere.
READER = (
    "IFS= read -r n; command -v dd >/dev/null || PATH=/usr/bin:/bin; "
    's=$(dd bs="$n" count=1 iflag=fullblock 2>/dev/null || dd bs=1 count="$n" 2>/dev/null; echo x); '
    'eval "${s%x}"'
)

# Whether sudo lets us is asked apart: once the step runs, only its own trailer says what became of it.
_TEXT = lean(r"""
    denied() {
        case $1 in
            *"no answer"*) x="gives no answer within 10 s";;
            *taken) x="does not take the password of $(id -un), or does not let it become $become";;
            *) x="does not let $(id -un) become $become without a password";;
        esac
        refuse E_SUDO "sudo $x"
    }
    other() {
        id -u "$become" >/dev/null 2>&1 || refuse E_OWNER "there is no user $become here"
        [ "$(id -un)" != "$become" ] || as_owner exec
        command -v sudo >/dev/null 2>&1 || refuse E_SUDO "there is no sudo here to become $become"
        permitted /bin/sh -c "$reader" </dev/null
        native
        [ -n "$secret" ] || as_owner exec sudo -n -u "$become" --
        { told; cat; } | as_owner sudo -S -p '' -k -u "$become" -- /bin/sh -c "$takes" sh
    }
    as_owner() { "$@" /bin/sh -c "$reader"; }
    other
""")


def script(op: Op, nonce: str) -> Script:
    """Return what becomes the owner of an Op's site and reads on as that user."""
    said = assign("N", nonce) + assign("wait", max(1, int(op.timeout_s))) + assign("become", op.site.owner)
    said += assign("secret", op.password) + assign("reader", READER)
    return said + reply.TEXT + service.NATIVE + service.BOUNDS + _TEXT
