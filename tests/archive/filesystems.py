"""File systems that fail, as fsspec finds them by their URL."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

QUOTA = "quota"  # a file beside the archive's folder: how many bytes the folder has room for


class _Interrupted:
    """A file that asks its file system what happens once half of what it is given is written."""

    def __init__(self, file: Any, files: FailingFileSystem) -> None:
        self._file = file
        self._files = files

    def write(self, content: bytes) -> None:
        half = len(content) // 2
        self._file.write(content[:half])
        self._file.flush()
        self._files.interrupt(Path(self._file.name), len(content) - half)
        self._file.write(content[half:])

    def __enter__(self) -> _Interrupted:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class FailingFileSystem(LocalFileSystem):  # type: ignore[misc]  # fsspec ships no types
    """A local one; ``<protocol>:///folder``."""

    @classmethod
    def _strip_protocol(cls, path: str) -> Any:
        return super()._strip_protocol(str(path).removeprefix(f"{cls.protocol}://"))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        file = super()._open(path, mode=mode, **options)
        return _Interrupted(file, self) if "w" in mode else file

    def interrupt(self, path: Path, size: int) -> None:
        """Let the writing of the file's last `size` bytes fail, or not."""
        raise NotImplementedError


class QuotaFileSystem(FailingFileSystem):
    """A disk that gets full."""

    protocol = "quota"

    def interrupt(self, path: Path, size: int) -> None:
        folder = next(parent for parent in path.parents if (parent.parent / QUOTA).exists())
        used = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
        if used + size > int((folder.parent / QUOTA).read_text()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class KillingFileSystem(FailingFileSystem):
    """Its process is killed in the middle of a file."""

    protocol = "killing"

    def interrupt(self, path: Path, size: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


for kind in (QuotaFileSystem, KillingFileSystem):
    fsspec.register_implementation(kind.protocol, kind, clobber=True)
