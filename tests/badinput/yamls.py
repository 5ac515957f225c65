"""B1 to B30: files that YAML reads in another way than their writer, or that are no playbook at all."""

from __future__ import annotations

from tests.badinput.row import Row

ROWS = {
    "B1": Row(what="a number with a zero in front: octal", codes="E_TYPE"),
    "B2": Row(what="a version that reads as a number", codes="E_TYPE"),
    "B3": Row(what="a date", codes="E_TYPE"),
    "B4": Row(what="22:22, counted in sixties", codes="E_TYPE"),
    "B5": Row(what="no, yes, on, as values and as keys", codes="E_TYPE E_KEY"),
    "B6": Row(
        what="bare y and n, in what is written for others",
        codes="",
        not_built="`load_balancers.envoy` is not built: no YAML is written for anybody. Read, n and y are texts.",
    ),
    "B7": Row(what="file modes", codes="E_TYPE E_MODE"),
    "B8": Row(what="1_000, 0x1F, .inf, .nan", codes="E_TYPE"),
    "B9": Row(what="a key twice", codes="E_DUP_KEY"),
    "B10": Row(what="merge keys", codes="E_MERGE"),
    "B11": Row(what="aliases that grow", codes="E_ALIAS"),
    "B12": Row(what="an alias within itself", codes="E_ALIAS_CYCLE"),
    "B13": Row(what="5000 brackets", codes="E_DEPTH"),
    "B14": Row(what="tags that build objects", codes="E_TAG"),
    "B15": Row(what="!vault, unknown tags", codes="E_TAG"),
    "B16": Row(what="tabs", codes="E_YAML"),
    "B17": Row(what="NUL, ESC, C1 controls", codes="E_CONTROL_CHAR"),
    "B18": Row(what="characters that turn the text round", codes="E_BIDI"),
    "B19": Row(what="bytes that are no UTF-8, UTF-16", codes="E_ENCODING"),
    "B20": Row(what="a byte order mark", codes=""),
    "B21": Row(what="an empty file, comments alone", codes="E_EMPTY"),
    "B22": Row(what="a mapping or a text instead of plays", codes="E_SHAPE"),
    "B23": Row(what="two documents", codes="E_MULTI_DOC"),
    "B24": Row(what="a number of thousands of digits", codes="E_RANGE"),
    "B25": Row(what="a list, nothing, a number as a key", codes="E_KEY"),
    "B26": Row(what="100 MB, /dev/zero, a FIFO, a folder", codes="E_SIZE E_NOT_FILE E_PLAN_FILE"),
    "B27": Row(
        what="files that anybody may write to",
        codes="E_PERM",
        not_built="`release.signature` (allowed_signers) and rollout.toml are not built.",
    ),
    "B28": Row(what="a misspelt key", codes="E_UNKNOWN_KEY"),
    "B29": Row(what="a key at the wrong level", codes="E_UNKNOWN_KEY"),
    "B30": Row(what="files outside the project, URLs, other playbooks", codes="E_INCLUDE E_NOT_FILE E_UNKNOWN_KEY"),
}
