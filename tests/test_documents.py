"""What the documents say is what the code does."""

import re

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
