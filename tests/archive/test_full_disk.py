"""A disk that is full."""

from __future__ import annotations

from pathlib import Path

import pytest

from lib.adapters.archive_folder import FsspecFolder
from lib.errors import AllItemsFailed, ArchiveDamaged, ArchiveUnavailable, SettingsError
from lib.results import Status
from tests.archive.filesystems import QUOTA
from tests.archive.rooms import BTC_1H, ETH_1H, JANUARY, NOVEMBER, Room


def test_a_disk_that_gets_full_ends_the_run_with_every_row_kept_and_the_next_one_carries_on(room: Room) -> None:
    room.store_candles(ETH_1H, NOVEMBER)
    before, folder = room.rows(), Path(room.folder)
    folder.mkdir()
    (folder.parent / QUOTA).write_text("60000")  # room for one file or two
    room.folder = f"quota://{folder}"
    result = room.archive()
    room.folder = str(folder)
    assert result.status is Status.PARTIAL
    assert {item.detail.split(" while")[0] for item in result.failed} == {"The archive's disk is full"}
    assert len(room.states()) == len(room.files()) == len(result.items) - len(result.failed)
    kept = room.rows()
    assert 0 < len(before) - len(kept) == result.counts["candles archived"]

    (folder.parent / QUOTA).write_text("1000000")
    room.folder = f"quota://{folder}"
    assert room.archive().status is Status.OK
    room.restore(NOVEMBER, JANUARY)
    assert room.rows() == before


def test_a_disk_that_is_full_from_the_beginning_fails_the_task_and_a_person_must_act(room: Room) -> None:
    before, folder = room.rows(), Path(room.folder)
    folder.mkdir()
    (folder.parent / QUOTA).write_text("10")
    room.folder = f"quota://{folder}"
    with pytest.raises(AllItemsFailed, match="Free space there") as raised:
        room.archive()
    assert not raised.value.retryable
    room.folder = str(folder)
    assert (room.rows(), room.files(), room.states()) == (before, [], [])


def test_a_folder_that_is_a_file_fails_with_its_name(room: Room) -> None:
    Path(room.folder).write_text("")
    with pytest.raises(AllItemsFailed, match=room.folder):
        room.archive()
    assert room.rows()[0][:2] == BTC_1H


def test_any_place_of_fsspec_will_do(room: Room) -> None:
    before = room.rows()
    room.folder = "memory://archive-of-a-test/fks"
    assert room.archive().status is Status.OK
    room.restore(NOVEMBER, JANUARY)
    assert room.rows() == before


@pytest.mark.parametrize(
    ("url", "told"),
    [("nowhere://bucket", "no place that fsspec knows"), ("abfs://bucket/fks", "needs another package")],
)
def test_a_place_that_cannot_be_opened_is_a_wrong_setting(url: str, told: str) -> None:
    for use in (lambda folder: folder.read("a"), FsspecFolder.check):
        with pytest.raises(SettingsError, match=f"FKS_ARCHIVE_URL.*{told}"):
            use(FsspecFolder(url))


def test_an_address_is_shown_without_its_password() -> None:
    assert FsspecFolder("sftp://me:secret@host:22/fks").describe() == "sftp://host:22/fks"


def test_trouble_of_the_folder_is_named_by_what_it_asks_for(tmp_path: Path) -> None:
    folder = FsspecFolder(str(tmp_path))
    with pytest.raises(ArchiveDamaged, match="it is not there"):
        folder.read("missing.parquet")
    with pytest.raises(ArchiveUnavailable):
        folder.move("missing", "to")
    folder.remove("missing")
