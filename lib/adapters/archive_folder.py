"""The archive's folder: a local one, or any place that fsspec knows ("s3://bucket/fks", "sftp://host/fks").

Credentials come from where the place's own library looks for them (AWS_*, a profile), or from fsspec's own variables
(FSSPEC_S3_KEY and the like).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
from fsspec.core import split_protocol, url_to_fs
from fsspec.implementations.local import LocalFileSystem

from lib.errors import ArchiveDamaged, ArchiveUnavailable, EnvironmentRefused, SettingsError

FULL = {errno.ENOSPC, errno.EDQUOT}


class FsspecFolder:
    """An `ArchiveFolder`; nothing is opened before it is used."""

    def __init__(self, url: str) -> None:
        self._url = url

    def describe(self) -> str:
        """Return where it is, without a user's name or password."""
        parts = urlsplit(self._url)
        if "@" not in parts.netloc:
            return self._url
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def check(self) -> None:
        """Raise `SettingsError` where the address is of no place that can be used; nothing is connected."""
        with self._wrong_addresses():
            fsspec.get_filesystem_class(split_protocol(self._url)[0] or "file")

    def write(self, path: str, content: bytes) -> None:
        """See `ArchiveFolder`."""
        with self._errors(f"writing {path}"):
            files, place = self._files, self._place(path)
            files.makedirs(place.rpartition("/")[0], exist_ok=True)
            with files.open(place, "wb") as file:
                file.write(content)
                if isinstance(files, LocalFileSystem):
                    file.flush()
                    os.fsync(file.fileno())

    def read(self, path: str) -> bytes:
        """See `ArchiveFolder`."""
        with self._errors(f"reading {path}"):
            try:
                content: bytes = self._files.cat_file(self._place(path))
            except FileNotFoundError:
                raise ArchiveDamaged(
                    f"Expected the file {path} in {self.describe()}; it is not there. Put it back from a backup, or "
                    "let FKS_ARCHIVE_URL name the folder that has it."
                ) from None
            return content

    def move(self, path: str, to: str) -> None:
        """See `ArchiveFolder`."""
        with self._errors(f"renaming {path}"):
            files, place = self._files, self._place(to)
            if isinstance(files, LocalFileSystem):
                Path(self._place(path)).replace(place)  # at once, over one that is there
                _sync_folder(Path(place).parent)
            else:
                files.mv(self._place(path), place)

    def remove(self, path: str) -> None:
        """See `ArchiveFolder`."""
        with self._errors(f"removing {path}"):
            if self._files.exists(self._place(path)):
                self._files.rm_file(self._place(path))

    @cached_property
    def _root(self) -> tuple[Any, str]:
        with self._wrong_addresses():
            files, root = url_to_fs(self._url, use_listings_cache=False)
        return files, root.rstrip("/")

    @contextmanager
    def _wrong_addresses(self) -> Iterator[None]:
        try:
            yield
        except ImportError as error:
            raise SettingsError(f"FKS_ARCHIVE_URL needs another package: {error}") from error
        except ValueError as error:
            known = ", ".join(sorted(fsspec.available_protocols()))
            raise SettingsError(
                f"FKS_ARCHIVE_URL {self.describe()} is no place that fsspec knows. It knows {known}."
            ) from error

    @property
    def _files(self) -> Any:
        return self._root[0]

    def _place(self, path: str) -> str:
        return f"{self._root[1]}/{path}"

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except PermissionError as error:
            raise EnvironmentRefused(
                f"The archive {self.describe()} refused {doing}: {error.strerror or error}. Give this user the right."
            ) from error
        except OSError as error:
            if error.errno in FULL:
                raise EnvironmentRefused(
                    f"The archive's disk is full while {doing} in {self.describe()}. Free space there, or set "
                    "FKS_ARCHIVE_URL; nothing that was not written was deleted, and the next run carries on."
                ) from error
            raise ArchiveUnavailable(f"The archive {self.describe()} failed while {doing}: {error}.") from error


def _sync_folder(folder: Path) -> None:
    """Let the renaming survive a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
