"""Install: the payload is counted, hashed, unpacked beside, compared with the manifest, and renamed into place.

Until the one rename nothing is visible below ``releases/``; what an earlier attempt left in
``incoming/`` is taken away. One ``sync -f`` of the file system makes all of it durable.
"""

from __future__ import annotations

from rollout.model.release import Delta, Pull, Push, Release, Shared, Way
from rollout.posix import assets, crew, delta, intact, ledger, patches, pull, rendered
from rollout.posix.op import Install
from rollout.posix.quote import Script, assign, lean, listing

SLOWEST = 16_384  # bytes a second, at which a payload still gets on: the time that it may take beyond its step's
STILL_S = 40  # so often an upload is looked at: one that has not got on since the last time has lost its connection

# link_share PATH: one link in the release $top, by the way from it to the root
_SHARE = lean(r"""
    shares() {
        each dir share_dir
        each add share_add
        each text share_one
        each file share_file
    }
    share_one() { eval "share_text \"\$1\" \"\$mode_$e_at\" \"\$content_$e_at\""; }
    share_dir() {
        [ -d "shared/$1" ] || { mkdir -p "shared/$1" && chmod 2775 "shared/$1"; } ||
            spoiled E_SHARED "cannot make $root/shared/$1"
        link_share "$1"
    }
    share_file() {
        [ -f "shared/$1" ] ||
            spoiled E_SHARED "$root/shared/$1 is not there, and the play does not say its content; put it there"
        link_share "$1"
    }
    share_text() {
        case $1 in */*) mkdir -p "shared/${1%/*}";; *) mkdir -p shared;; esac
        if [ -f "shared/$1" ] && printf %s "$3" | cmp -s - "shared/$1"; then chmod "$2" "shared/$1"
        else
            d=shared/$1.rollout-new
            rm -f "$d"
            { (umask 077; printf %s "$3" >"$d"); } 2>/dev/null && chmod "$2" "$d" && mv -f "$d" "shared/$1" ||
                spoiled E_SHARED "cannot write $root/shared/$1"
        fi
        link_share "$1"
    }
    # upward PATH: sets up to where the link of a shared path leads
    upward() {
        d=$1 up=../..
        while case $d in */*) ;; *) false;; esac; do d=${d#*/} up=../$up; done
        up=$up/shared/$1
    }
    # below PATH: what is above it in the release is no link of the artifact, which may lead anywhere
    below() {
        l=$1
        while case $l in */*) ;; *) false;; esac; do
            l=${l%/*}
            [ ! -h "$top/$l" ] || spoiled E_SHARED "$l is a link in release $id: $1, below it, cannot be shared"
        done
    }
    link_share() {
        [ -z "$adopted" ] || return 0
        below "$1"
        upward "$1"
        set -- "$1" "$up"
        [ "$(readlink "$top/$1")" != "$2" ] || return 0
        if [ -e "$top/$1" ] || [ -h "$top/$1" ]; then
            [ "$top" != "$rel" ] ||
                spoiled E_SHARED "release $id has a $1 of its own and is not changed any more; give it another id"
            rm -rf "$top/$1"
        fi
        case $1 in */*) mkdir -p "$top/${1%/*}";; esac
        ln -s "$2" "$top/$1" || spoiled E_SHARED "cannot link $1 in release $id"
    }
""")

# openssl takes a third of the time where the processor has instructions for it. What it says no to, or cannot say
# (it does not escape names), sha256sum is asked again.
_COMPARE = lean(r"""
    # listing TREE COMMAND...: what the manifest of a tree would be, hashed by a command
    listing() { (
        [ -z "$known" ] || unhashed
        cd "$1" || exit
        shift
        echo '# rollout manifest 1'
        find . -type f ${known:+-links 1} -perm -100 -exec "$@" {} + | sed 's/ [ *]/  /; s/^/0755 /'
        find . -type f ${known:+-links 1} ! -perm -100 -exec "$@" {} + | sed 's/ [ *]/  /; s/^/0644 /'
        if find . -prune -printf '' 2>/dev/null; then
            find . -mindepth 1 ! -type f \
                \( -type d -printf 'd %p\n' -o -type l -printf 'l %p//%l\n' -o -printf '? %p\n' \)
        else
            find . -mindepth 1 -type d | sed 's/^/d /'
            find . -type l | while IFS= read -r l; do printf 'l %s//%s\n' "$l" "$(readlink "$l")"; done
            find . ! -type f ! -type d ! -type l | sed 's/^/? /'
        fi
    ) | sort; }
    # Directories one by one before they are entered: one that came unreadable could not be. 00755: not 02755 either.
    modes() {
        find "$1" -type d ! -perm 755 -exec chmod 00755 {} \; -o -type f -perm -100 ! -perm 755 -exec chmod 755 {} + \
            -o -type f ! -perm -100 ! -perm 644 -exec chmod 644 {} +
    }
    compare() {
        modes "$top"
        if command -v openssl >/dev/null 2>&1; then
            listing "$top" openssl dgst -sha256 -r 2>/dev/null | cmp -s - "$stage/manifest" && return
        fi
        listing "$top" sha256sum | cmp -s - "$stage/manifest" && return
        tails "$(listing "$top" sha256sum | diff "$stage/manifest" - 2>&1 | head -n 20 | cut -c 1-300)"
        unlike
        spoiled E_MANIFEST "what the artifact unpacks to here is not what the controller saw in it"
    }
""")

_PLACE = lean(r"""
    spoiled() { gone "$stage"; refuse "$@"; }
    # What came with directories that nobody may write into could not be deleted.
    gone() { rm -rf "$1" 2>/dev/null || { modes "$1"; rm -rf "$1"; } 2>/dev/null; }
    room() {
        set -- $(df -Pk . | tail -n 1)
        [ "$(($4))" -ge "$((need / 1024))" ]
    }
    hashed() { h=${1%% *}; [ "$h" = "$2" ]; }
    placed() {
        room || spoiled E_DISK "$root has less than the $need bytes that this release needs"
        folder -p .rollout/incoming
        folder "$stage"
    }
    # folder [-p] PATH; -p: what an earlier upload left may be there still, where it could not be deleted
    folder() {
        try mkdir -m 700 "$@" || spoiled E_DISK "cannot make a directory below $root/.rollout/incoming$why"
    }
    full() { room || spoiled E_DISK "$root is full"; }
""")

_RECEIVE = lean(r"""
    # A connection that is lost without a word would hold the lock for as long as the slowest link may take.
    watch() {
        # KILL: what is no program yet still has its shell's handlers, and forgets what they were told.
        trap 'kill -9 $!; exit' 15
        b=
        while a=$b; sleep "$still" & wait $!; do
            b=$(wc -c <"$stage/payload")
            [ "$a" != "$b" ] || kill $h
        done
    }
    receive() {
        placed
        left
        all=$((size + extra))
        said=$({
            timeout -s KILL $((left + all / slowest)) head -c $all <&8 8<&- >"$stage/payload" & h=$!
            watch >/dev/null 2>&1 8<&- &
            wait $h
            kill $!
        } 2>&1)
        got=$(wc -c <"$stage/payload")
        [ $got = $all ] || short E_SHORT upload
        tail -c "+$((size + 1))" "$stage/payload" >"$stage/manifest" 2>/dev/null
        # Cut off behind the artifact: a file is hashed and unpacked faster than a part of one from a pipe.
        [ "$got" -le "$size" ] || dd if=/dev/null of="$stage/payload" bs=1 seek="$size" count=0 2>/dev/null
        digests
    }
""")

_UNPACK = lean(r"""
    digests() {
        hashed "$(openssl dgst -sha256 -r <"$stage/payload" 2>/dev/null)" "$artifact" ||
            hashed "$(sha256sum <"$stage/payload")" "$artifact" || short E_DIGEST artifact "$artifact"
        hashed "$(sha256sum <"$stage/manifest")" "$manifest" || short E_DIGEST manifest "$manifest"
    }
    short() {
        case $said in
            '' | *Killed* | *Terminated*) ;;
            *) spoiled E_DISK "the upload cannot be written below $root/.rollout/incoming: ${said##*: }";;
        esac
        full
        spoiled "$1" "the $2 that arrived is not the one that was sent: \
            $((got)) of $((size + extra)) bytes came${3:+, SHA-256 ${h:-none}, wanted $3}"
    }
    unpack() {
        folder "$stage/tree"
        said=$(tar "-x$gzip" -o --no-same-permissions -f "$stage/payload" -C "$stage/tree" 2>&1) || {
            tails "$said"
            full
            spoiled E_UNPACK "tar cannot unpack the artifact here: ${said%%"$nl"*}"
        }
        # What is not kept need not be made durable.
        rm -f "$stage/payload"
        top=$stage/tree
        [ -n "$strip" ] || return 0
        # Not by ls: that of BusyBox shows names otherwise.
        [ "$(cd "$top" && find . ! -name . -prune)" = "./$strip" ] ||
            spoiled E_MANIFEST "the artifact does not unpack to the one directory $strip"
        top=$top/$strip
    }
""")

# The link of the running release is prepared too: the way back needs no inode either.
_PREPARE = lean(r"""
    prepare() {
        for l in .rollout/next-*; do
            case $l in ".rollout/next-$id" | ".rollout/next-$cur") ;; *) rm -f "$l";; esac
        done
        rm -f .rollout/known+*
        for l in .rollout/known-*; do
            [ -d "releases/${l#*known-}" ] || rm -f "$l"
        done
        for l in "$id" $cur; do
            [ -h ".rollout/next-$l" ] || try ln -s "releases/$l" ".rollout/next-$l" ||
                refuse E_DISK "cannot make the link that is to become current$why"
        done
    }
    # What was adopted shares what it shared before, in whatever way.
    adopted() { adopted= l=; read -r l <"$rel/.rollout-manifest"; [ "$l" != "# adopted" ] || adopted=1; }
    work() {
        adopted= added= known= rel=releases/$id top=$rel stage=.rollout/incoming/$record.$me how=new
        need=$((unpacked + size + 1048576))
        gone .rollout/incoming
        if [ -e "$rel" ] || [ -h "$rel" ]; then
            digest_of "$id" && [ "$have" = "$manifest" ] ||
                refuse E_RELEASE_CONFLICT "$root/$rel is there with other content; give this release another id"
            how=present
            intact
            adopted
            shares
        elif [ "$present" = 1 ]; then
            refuse E_NO_RELEASE "$root/$rel is not there any more"
        else
            based
            receive
            unpack
            gather
            compare
            try mv "$stage/manifest" "$top/.rollout-manifest" || spoiled E_DISK "cannot write its manifest into $id$why"
            shares
            looks "$top" here >"$stage/known"
            stamp "$stage/known" || rm -f "$stage/known"
            still
            sync -f "$top" ${added:+shared} 2>/dev/null || sync
            [ -d releases ] || mkdir -m 755 releases
            try mv -T "$top" "$rel" || spoiled E_DISK "cannot move release $id into place$why"
            mv -f "$stage/known" ".rollout/known-$id" 2>/dev/null
            gone .rollout/incoming
        fi
        look
        prepare
        f installed "$how"
        mark "$id" installed releases .rollout || refuse E_DISK "cannot write $root/.rollout/ledger"
        finish done
    }
""")


def _shares(shared: Shared) -> Script:
    texts = [file for file in shared.files if file.content is not None]
    said = listing("dir", shared.dirs) + listing("file", (f.path for f in shared.files if f.content is None))
    said += (
        listing("add", shared.add) + listing("text", (f.path for f in texts)) + listing("mode", (f.mode for f in texts))
    )
    return said + listing("content", (f.content or "" for f in texts))


def sent(deed: Install) -> int:
    """Return how many bytes come before the manifest's text."""
    match deed.way:
        case Delta(size=size):
            return size
        case Pull():
            return pull.SIZE
        case Push():
            return deed.release.size


def _release(release: Release) -> Script:
    return (
        assign("id", release.id)
        + assign("manifest", release.manifest)
        + assign("extra", release.manifest_size)
        + assign("unpacked", release.unpacked)
        + assign("slowest", SLOWEST)
        + assign("still", STILL_S)
    )


def _payload(deed: Install) -> Script:
    """Return what comes: the artifact as it is, or the tar of what differs from a base."""
    way = deed.way
    if isinstance(way, Pull):
        return pull.arguments(deed) + assign("base", "") + assign("strip", deed.release.strip) + _bytes(deed.release)
    if isinstance(way, Delta):
        said = assign("base", way.base) + assign("basis", way.manifest) + assign("linked", "1" if way.linked else "")
        said += assign("window", patches.WINDOW_LOG) if way.patches else ""
        return said + assign("strip", "") + _bytes(way)
    return assign("base", "") + assign("strip", deed.release.strip) + _bytes(deed.release)


def _coming(way: Way) -> str:
    """Return the text of how it comes, and of what is made of it then."""
    match way:
        case Push():
            return delta.NONE + _RECEIVE
        case Delta():
            return delta.TEXT + (patches.TEXT if way.patches else delta.WHOLE) + _RECEIVE
        case Pull():
            return pull.TEXT


def _bytes(sent: Release | Delta) -> Script:
    zipped = assign("gzip", "z" if sent.compression == "gzip" else "")
    return assign("artifact", sent.artifact) + assign("size", sent.size) + zipped


def script(deed: Install) -> Script:
    """Return the script body of an Install; its payload is read from file descriptor 8."""
    arguments = (
        _release(deed.release)
        + _payload(deed)
        + assign("present", int(deed.present))
        + assign("signed", deed.signed)
        + _shares(deed.shared)
    )
    parts = _PLACE + _coming(deed.way) + (assets.ADD if deed.shared.add else "")
    steps = _UNPACK + _COMPARE + _SHARE + _PREPARE
    if deed.rendered:
        arguments, steps = arguments + rendered.script(deed.rendered, sealed=deed.sealed), rendered.woven(steps)
    made = arguments + ledger.TEXT + intact.TEXT + parts + steps
    return crew.script(deed.shared.group, made) if deed.shared.group else made
