"""The group of an app's service: what an Install does more so that it may write in shared directories.

It may read what is written for the app, too. Without a group nothing of this is in an Install.
"""

from __future__ import annotations

from rollout.posix.quote import Script, assign, lean

# A directory that is another user's must be right already. Only who is in a group can give it something.
_TEXT = lean(r"""
    crewed() {
        set -- "$1" $(ls -ldL "shared/$1")
        case "$2 $5" in drwxrwsr-x*" $crew") return;; esac
        { chgrp "$crew" "shared/$1" && chmod 2775 "shared/$1"; } 2>/dev/null ||
            spoiled E_SHARED "$(id -un) cannot let the group $crew write in $root/shared/$1; \
                do it once, as root: chgrp $crew $root/shared/$1 && chmod 2775 $root/shared/$1"
    }
    # grouped MODE FILE: the mode first, so that no failure leaves a secret open
    grouped() {
        [ -n "$(find -H "$2" -prune -perm "$1" -group "$crew")" ] || { chmod "$1" "$2" && chgrp "$crew" "$2"; } ||
            spoiled E_SHARED "$(id -un) cannot let the group $crew read ${2#"$top"/}"
    }
""")

# Where an Install's own text has to do something more: a directory that is shared, a file that is written.
_WOVEN = {
    'cannot make $root/shared/$1"\nlink_share "$1"\n': 'cannot make $root/shared/$1"\ncrewed "$1"\nlink_share "$1"\n',
    'then chmod "$2" "shared/$1"\n': 'then grouped "$2" "shared/$1"\n',
    '&& chmod "$2" "$d" &&': '&& chgrp "$crew" "$d" && chmod "$2" "$d" &&',
}
_RENDERED = {'narrow_one() { eval "chmod ': 'narrow_one() { eval "grouped '}


def script(group: str, install: Script) -> Script:
    """Return an Install that gives what it makes to a group; ValueError where it has no place for that."""
    text = install.text
    for plain, more in (_WOVEN | (_RENDERED if "narrow_one()" in text else {})).items():
        if text.count(plain) != 1:
            raise ValueError(f"{plain!r} stands {text.count(plain)} times in an Install")
        text = text.replace(plain, more)
    return assign("crew", group) + _TEXT + Script(install.values, text)
