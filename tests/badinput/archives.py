"""B51 to B66: artifacts and the members of archives."""

from __future__ import annotations

from tests.badinput.row import Row

ROWS = {
    "B51": Row(what="members above, beside and nowhere", codes="E_MEMBER_PATH"),
    "B52": Row(what="links out of the tree, files through links", codes="E_MEMBER_LINK"),
    "B53": Row(what="devices, FIFOs, sockets", codes="E_MEMBER_TYPE"),
    "B54": Row(what="setuid, 0777, 0000", codes=""),
    "B55": Row(what="owners, attributes, capabilities", codes=""),
    "B56": Row(what="bombs", codes="E_ARCHIVE_LIMIT"),
    "B57": Row(what="cut, damaged, joined archives", codes="E_ARCHIVE"),
    "B58": Row(what="members twice, by case, by form of Unicode", codes="E_MEMBER_DUP"),
    "B59": Row(what="names that cannot be seen or kept", codes="E_MEMBER_NAME"),
    "B60": Row(what="nothing in it, one folder in it", codes="E_ARCHIVE_EMPTY"),
    "B61": Row(what="names that are ours", codes="E_MEMBER_RESERVED"),
    "B62": Row(what="digests that are none, or of something else", codes="E_DIGEST"),
    "B63": Row(
        what="signatures",
        codes="E_SIG_MISSING E_SIG_UNREADABLE E_SIG_BAD E_SIG_NAMESPACE E_SIG_SIGNER E_SIG_IDENTITY E_SIG_NOT_YET "
        "E_SIG_KEY_EXPIRED E_SIG_REVOKED E_SIG_APP E_SIG_ID E_SIG_BYTES E_SIG_EXPIRED E_SIG_REPLAY E_SIG_UNSIGNED",
    ),
    "B64": Row(what="an artifact that is exchanged while it is read", codes=""),
    "B65": Row(what="an artifact that is no file", codes="E_NOT_FILE E_ARTIFACT"),
    "B66": Row(what="an empty artifact, one of 50 GB", codes="E_ARCHIVE_EMPTY E_ARCHIVE_LIMIT"),
}
