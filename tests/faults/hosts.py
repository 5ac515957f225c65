"""F53 to F68: hosts and their file systems."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {
    "F53": Row(
        what="a disk is full before the upload, in it, or while it is unpacked",
        ends="6, E_DISK with what the kernel said: nobody has left, nothing half lies there; with room it goes on",
    ),
    "F54": Row(
        what="no inode is left when the link is to move",
        ends="0: link, lock and records were prepared; another release is refused (E_DISK) before anybody leaves",
    ),
    "F55": Row(
        what="the disk turns read-only, or fails, at the swap",
        ends="3: refused with the kernel's words, the host back in on the old release, still proven; then 6",
    ),
    "F56": Row(
        what="a host dies after the swap and before the restart, or at the rename",
        ends="0: it comes back, is asked, started and proven; on its way back what still runs is proven too",
    ),
    "F57": Row(
        what="the power fails with data that was never synced",
        ends="old or new boots, each whole; what was answered is on the disk; files before links before records",
    ),
    "F58": Row(
        what="a release is written to after it was verified, before the switch",
        ends="3, E_TAMPERED at the switch; 6 when it is staged again; once it is removed an apply goes through",
    ),
    "F59": Row(
        what="current is a directory, leads nowhere, to a link, or to another disk",
        ends="6, E_CURRENT_NOT_LINK with what to type there; once it is typed the next apply goes through",
    ),
    "F60": Row(
        what="releases/ is a link, or a directory above can be written by others",
        ends="6, E_ROOT names the directory and the chmod; a step refuses it by itself, too",
    ),
    "F61": Row(
        what="the release's id is there with other content",
        ends="6, E_RELEASE_CONFLICT; within max_failures 9; nothing is ever written over",
    ),
    "F62": Row(
        what="an upload that died lies half unpacked on a host",
        ends="0: the step is done again in a folder of its own, what was half is removed under the lock",
    ),
    "F63": Row(
        what="logins with umask 077, 000 or 777",
        ends="0: modes are what they must be, and nobody else can write but where the service is to",
    ),
    "F64": Row(
        what="a quota, a policy or noexec says no",
        ends="refused with the kernel's own words; noexec is E_NOEXEC, the host's fault and not the release's",
        cannot="this kernel has no quotas, no SELinux and no AppArmor: strace gives their answers, EDQUOT and EACCES",
    ),
    "F65": Row(
        what="a host restarts in the middle",
        ends="0: back into its program; 3 when it was done; its lost process is never blamed on the release",
    ),
    "F66": Row(
        what="another host answers at the address",
        ends="6 where its key differs; E_IDENTITY by machine id: 3 before the switch, 5 after, nothing condemned",
    ),
    "F67": Row(
        what="hosts' clocks are two hours behind, a year ahead, or set back in between",
        ends="0, and 4 for a bad release; none is lost, and a clock that went back hides no writing (E_TAMPERED)",
    ),
    "F68": Row(
        what="what is old cannot be removed",
        ends="0: steps pass over it; the rollout says which old release is not gone, and the next one goes on with it",
    ),
}
