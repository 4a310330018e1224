"""The commands that the documents show."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from lib.settings import PROJECT_ROOT

DOCUMENTS = (PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md")))
_PROGRAMS = "fks|prefect|make|docker|kubectl|pg_dump|pg_restore"
_COMMAND = re.compile(rf"(?:[A-Z_]+=\S* )*(?:\.venv/bin/)?(?:{_PROGRAMS}) \S")
_PLACEHOLDER = re.compile(r"\[?[A-Z_]{3,}…?\]?|name=value|.*(?:…|<.+>).*")  # STRATEGY SYMBOL… [CHANNEL]


@dataclass(frozen=True)
class Command:
    """A command line of a document.

    Attributes:
        document: Its file's name.
        line: As it stands there, without a comment.
    """

    document: str
    line: str

    @property
    def settings(self) -> dict[str, str]:
        """The environment that stands before the program."""
        return dict(word.split("=", 1) for word in self._words[: self._start])

    @property
    def program(self) -> str:
        """ "fks", "prefect", "make", …"""
        return Path(self._words[self._start]).name

    @property
    def arguments(self) -> list[str]:
        """What follows the program."""
        return self._words[self._start + 1 :]

    @property
    def name(self) -> str:
        """Program and first argument: "fks halt"."""
        return f"{self.program} {self.arguments[0]}"

    @property
    def is_form(self) -> bool:
        """Whether it has places to fill in, as `fks backtest STRATEGY SYMBOL…`."""
        return any(_PLACEHOLDER.fullmatch(argument) for argument in self.arguments)

    @property
    def is_bare(self) -> bool:
        """Whether it is but the command's name, as prose speaks of it."""
        return len(self.arguments) == 1

    @property
    def _words(self) -> list[str]:
        return shlex.split(self.line)

    @property
    def _start(self) -> int:
        return next(at for at, word in enumerate(self._words) if not re.match(r"[A-Z_]+=", word))


def list_commands() -> list[Command]:
    """Return every command of the README and of docs/ once: lines of shell blocks, and `code` that begins as one."""
    every = [Command(path.name, line) for path in DOCUMENTS for line in _find_lines(path.read_text())]
    return list({(tuple(one.settings.items()), one.program, *one.arguments): one for one in every}.values())


def _find_lines(text: str) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    stripped = [re.sub(r"\s+# .*", "", line).strip() for line in lines + spans]
    return list(dict.fromkeys(line for line in stripped if _COMMAND.match(line)))
