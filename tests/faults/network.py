"""F26 to F52: SSH, the network, and what login shells do."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {
    "F26": Row(
        what="nobody listens on a host's SSH port",
        ends="refused by name before anybody leaves (6); in a step it is knocked at again until its time is over",
    ),
    "F27": Row(
        what="a black hole swallows the first packet of a connection",
        ends="unreachable within connect_timeout, and said that nobody answers there (6)",
    ),
    "F28": Row(
        what="a connection is reset in its key exchange, or under a command",
        ends="what was not sent is sent again, what may have been done is asked about: all is done once (0)",
    ),
    "F29": Row(
        what="the reply of a step is lost after its effect",
        ends="the host is asked, has it on record, and the rollout goes on (0); on the way back too (4)",
    ),
    "F30": Row(
        what="a command is lost before its effect, and perhaps delivered late",
        ends="said again (0), or past its time healed (3); what comes late is refused by the host (E_STALE)",
    ),
    "F31": Row(
        what="the network is cut, and heals after a minute, or too late",
        ends="goes on (0); too late: stranded, out, named (5), still so when it heals, right after an apply (0)",
    ),
    "F32": Row(
        what="sshd stands still: the kernel accepts, nobody answers",
        ends="every wait has its deadline; who could not be healed is out of rotation and named (5)",
    ),
    "F33": Row(
        what="the shell of a step stands still, and its sshd answers",
        ends="the step's deadline ends it (3); where it holds the lock its pid is named (5)",
    ),
    "F34": Row(
        what="a user's own connection master (ControlPath) is dead to the world",
        ends="it is not used: every rollout has connections of its own",
    ),
    "F35": Row(
        what="a user's connection master is gone, its socket is not; ours dies too",
        ends="the socket is not looked at; the next step opens another connection (0)",
    ),
    "F36": Row(
        what="sshd has too many logins or sessions (MaxStartups, MaxSessions)",
        ends="a few logins at a time, what was dropped is tried again, sessions take turns (0)",
    ),
    "F37": Row(
        what="sshd has banned the controller's address (PerSourcePenalties)",
        ends="recognised by what it says, said in words, and not knocked at again within that login",
        cannot="no sshd of Debian 12 does it: a server of ours says what a newer one says",
    ),
    "F38": Row(
        what="a host shows another key than the recorded one",
        ends="refused with both fingerprints and the line of known_hosts (6); nothing is asked, nothing leaves",
    ),
    "F39": Row(
        what="a host key is unknown, revoked, of an authority, of another name or kind",
        ends="as OpenSSH decides with the same files; each refusal has words of its own (6)",
    ),
    "F40": Row(
        what="a key opens nothing: wrong, locked, a mute agent, taken away midway",
        ends="unreachable, what was tried is said (6); midway goes on when let in (0), else is put back (3)",
        cannot="no touch of a FIDO key, and no user certificates: the transport passes over both and says so",
    ),
    "F41": Row(
        what="the bastion before all hosts dies in the middle of a batch",
        ends="told as one cause; halts and waits: midway hosts are healed (3) or named (5), done ones stay",
    ),
    "F42": Row(
        what="names mean nothing, mean it late, or mean something else in the middle",
        ends="resolved once and kept for the rollout (0); a name that means nothing is refused in time (6)",
    ),
    "F43": Row(
        what="a name has an address of IPv6 that swallows everything",
        ends="each address gets its share of connect_timeout, the one that answered is asked first (0)",
    ),
    "F44": Row(
        what="large packets are lost: the key exchange hangs",
        ends="unreachable within connect_timeout, with a word about MTU (6)",
    ),
    "F45": Row(
        what="start-up files of shells print, sleep, exec, exit, or read stdin",
        ends="noise and slowness are got over (0); what swallows commands is refused, E_SHELL, nothing run (6)",
    ),
    "F46": Row(
        what="the login shell is csh, fish, rbash or nologin",
        ends="whatever runs one constant command will do (0); the others are told by what they say (6)",
    ),
    "F47": Row(
        what="PATH and HOME lead nowhere, and nothing in /tmp may be run or written",
        ends="rolled out all the same (0): tools are found in the usual places, and /tmp is not used",
    ),
    "F48": Row(
        what="sudo asks for a password, wants a terminal, hangs, or is taken away",
        ends="refused before anybody leaves, E_SUDO (6); in the middle before the switch, healed (3)",
    ),
    "F49": Row(
        what="hosts print 10 GB, endless lines, escapes, zeros, forged ends of steps",
        ends="the exit status counts (0 or 4); under 200 MB; cut visibly; inert on a terminal; no end is forged",
    ),
    "F50": Row(
        what="a task or a service leaves a child behind that keeps the streams open",
        ends="the step ends at its own last line, and its lock is free (0)",
    ),
    "F51": Row(
        what="arguments and scripts of more than 128 KiB",
        ends="scripts and texts go by standard input (0); what no host can start is said in its own words",
    ),
    "F52": Row(
        what="a link of 256 kbit/s that loses 30 % of the packets",
        ends="0: an upload has time as long as it gets on; cut off by the network it is begun anew, thrice at most (3)",
    ),
}
