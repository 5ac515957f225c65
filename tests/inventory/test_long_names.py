"""A name of thousands of characters is answered in one short line."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.errors import InputError
from rollout.inventory import load_inventory


@pytest.mark.parametrize("text", ["[prod:children]\n{}\n", "[{}:vars]\na=1\n", "[{}:children]\nnone\n", "[web:{}]\n"])
def test_a_group_of_thousands_of_characters_is_answered_shortly(tmp_path: Path, text: str) -> None:
    (tmp_path / "hosts").write_text("[web]\nweb1\n" + text.format("x" * 3000))
    with pytest.raises(InputError) as found:
        load_inventory([tmp_path / "hosts"], None)
    assert len(str(found.value).removeprefix(str(tmp_path))) < 500


def test_a_circle_of_hundreds_of_groups_is_answered_shortly(tmp_path: Path) -> None:
    text = "".join(f"[g{n}:children]\ng{(n + 1) % 300}\n" for n in range(300))
    (tmp_path / "hosts").write_text("[web]\nweb1\n" + text)
    with pytest.raises(InputError) as found:
        load_inventory([tmp_path / "hosts"], None)
    said = str(found.value).removeprefix(str(tmp_path))
    assert len(said) < 500
    assert " > (293 more) > g" in said
