"""What the documents say is what the code does."""

import re

from sqlmodel import SQLModel

from lib.adapters.database import tables
from lib.settings import PROJECT_ROOT, Settings


def test_every_setting_is_documented_and_nothing_else() -> None:
    text = (PROJECT_ROOT / "docs" / "operations.md").read_text()
    documented = set(re.findall(r"^\| (FKS_[A-Z_]+) \|", text, re.MULTILINE))
    assert documented == {f"FKS_{name.upper()}" for name in Settings.model_fields}


def test_every_file_the_readme_links_to_exists() -> None:
    text = (PROJECT_ROOT / "README.md").read_text()
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (PROJECT_ROOT / target).exists(), target


def test_the_readme_stays_short() -> None:
    assert len((PROJECT_ROOT / "README.md").read_text().splitlines()) < 200


def test_it_is_decided_for_every_table_what_becomes_of_its_old_rows() -> None:
    text = (PROJECT_ROOT / "docs" / "decisions.md").read_text()
    decided = set(re.findall(r"`([a-z_]+)`", text[text.index("| rows | what happens | why |") :]))
    tables.load_all()
    missing = set(SQLModel.metadata.tables) - decided
    assert not missing, f"Name them in the table of D33: archived, deleted, or kept, and why. {missing}"
