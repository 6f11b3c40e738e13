"""Encodings in files: found by others, never more than allowed, and no disk however bad costs a click."""

from __future__ import annotations

import errno
import logging
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from backend.encoding_store import EncodingKey, PixelKey, SourceStamp
from backend.inference.encoding import Encoding
from backend.ready import disk_cache
from backend.ready.disk_cache import SUFFIX, DiskCache
from backend.ready.file_lock import FileLock
from converters.chips import PixelWindow

PIXELS = PixelKey(SourceStamp("r.tif", 10, 20), PixelWindow(0, 0, 60, 40), (1, 2, 3), ((0.0, 9.5),), "nan")
KEY = EncodingKey(PIXELS, "vitclick@1-2", "cpu")
ENCODING = Encoding(torch.arange(3000, dtype=torch.int64).to(torch.uint8).reshape(1, 3, 25, 40))
MUCH = 1 << 20


def numbered(number: int) -> EncodingKey:
    return replace(KEY, version=f"model-{number}")


class Cache:
    """A disk cache with its counts."""

    def __init__(self, folder: Path, capacity: int = MUCH, *, patience: float = 60) -> None:
        self.counted: Counter[str] = Counter()
        self.cache = DiskCache(folder / "encodings", capacity, count=lambda outcome: self.counted.update([outcome]), patience=patience)
        self.folder = folder / "encodings"

    def locks(self) -> Path:
        (self.folder / "locks").mkdir(parents=True)
        return self.folder / "locks"

    @property
    def files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"))


@pytest.fixture
def one(tmp_path: Path) -> Cache:
    return Cache(tmp_path)


def test_what_one_keeps_another_finds_with_every_bit(one: Cache, tmp_path: Path) -> None:
    assert one.cache.get(KEY) is None
    one.cache.put(KEY, ENCODING)
    other = Cache(tmp_path)
    found = other.cache.get(KEY)
    assert torch.equal(found.pixels, ENCODING.pixels)
    assert (one.counted, other.counted) == (Counter(miss=1, written=1), Counter(hit=1))
    assert other.cache.nbytes == sum(path.stat().st_size for path in one.files) > ENCODING.nbytes


@pytest.mark.parametrize(
    "other",
    [
        replace(KEY, version="vitclick@1-3"),
        replace(KEY, device="cuda:0"),
        replace(KEY, pixels=replace(PIXELS, source=SourceStamp("r.tif", 10, 21))),
        replace(KEY, pixels=replace(PIXELS, source=SourceStamp("r.tif", 11, 20))),
        replace(KEY, pixels=replace(PIXELS, source=SourceStamp("s.tif", 10, 20))),
        replace(KEY, pixels=replace(PIXELS, window=PixelWindow(1, 0, 60, 40))),
        replace(KEY, pixels=replace(PIXELS, bands=(4, 1, 2))),
        replace(KEY, pixels=replace(PIXELS, stretch=None)),
        replace(KEY, pixels=replace(PIXELS, nodata="0.0")),
    ],
)
def test_nothing_is_shared_with_other_pixels_another_model_or_another_device(one: Cache, other: EncodingKey) -> None:
    one.cache.put(KEY, ENCODING)
    assert one.cache.get(other) is None


def test_another_release_of_torch_computes_its_own(one: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    one.cache.put(KEY, ENCODING)
    monkeypatch.setattr(disk_cache, "installed_version", lambda name: "99.0")
    assert one.cache.get(KEY) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:16],
        lambda content: content[:-1],
        lambda content: content[:-1] + bytes([content[-1] ^ 1]),
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: content[:50] + bytes([content[50] ^ 1]) + content[51:],
    ],
)
def test_a_damaged_file_is_a_miss_is_removed_and_named_once(one: Cache, caplog: pytest.LogCaptureFixture, damage) -> None:
    one.cache.put(KEY, ENCODING)
    (path,) = one.files
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert [one.cache.get(KEY) for _ in range(3)] == [None] * 3
    assert one.files == []
    assert [record.message for record in caplog.records if path.name in record.message] == [record.message for record in caplog.records]
    assert len(caplog.records) == 1
    assert one.counted == Counter(written=1, damaged=1, miss=3)
    one.cache.put(KEY, ENCODING)
    assert one.cache.get(KEY) is not None


def test_a_whole_file_under_another_s_name_is_not_believed(one: Cache) -> None:
    one.cache.put(KEY, ENCODING)
    (mine,) = one.files
    one.cache.put(numbered(1), ENCODING)
    (other,) = set(one.files) - {mine}
    mine.replace(other)
    assert one.cache.get(numbered(1)) is None
    assert one.counted["damaged"] == 1


def test_never_more_bytes_than_allowed_and_what_was_not_read_for_longest_goes_first(one: Cache, tmp_path: Path) -> None:
    one.cache.put(KEY, ENCODING)
    size = one.cache.nbytes
    small, same_folder = Cache(tmp_path / "small", 3 * size + size // 2), Cache(tmp_path / "small", 3 * size + size // 2)
    for number in range(3):
        small.cache.put(numbered(number), ENCODING)
        for path in small.files:  # the clock of a file system may be coarse
            status = path.stat()
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 10**9))
    assert same_folder.cache.get(numbered(0)) is not None  # another process reads it: now it is the newest
    for number in (3, 4):
        same_folder.cache.put(numbered(number), ENCODING)
        assert small.cache.nbytes <= 3 * size + size // 2
    assert [number for number in range(5) if small.cache.get(numbered(number)) is not None] == [0, 3, 4]


def test_an_encoding_larger_than_the_cache_displaces_nothing(tmp_path: Path) -> None:
    small = Cache(tmp_path, 5000)
    small.cache.put(KEY, ENCODING)
    small.cache.put(numbered(1), Encoding(torch.zeros(1, 3, 60, 60, dtype=torch.uint8)))
    assert small.cache.get(numbered(1)) is None
    assert small.cache.get(KEY) is not None


def test_what_a_killed_process_left_half_written_is_removed(one: Cache) -> None:
    one.cache.put(KEY, ENCODING)
    leftover = one.folder / f".{'0' * 64}{SUFFIX}.4711-1.part"
    leftover.write_bytes(b"half")
    one.cache.put(numbered(1), ENCODING)
    assert not leftover.exists()
    assert len(one.files) == 2


def full(path: Path, content: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_named_once_and_nothing_is_kept(
    one: Cache, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(disk_cache, "write_whole", full)
    for number in range(3):
        one.cache.put(numbered(number), ENCODING)
        assert one.cache.get(numbered(number)) is None
    (record,) = caplog.records
    assert "No space left on device" in record.message
    assert one.counted == Counter(miss=3)


def test_a_folder_that_cannot_be_made_is_named_once_and_nothing_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As on a read-only disk; permissions would not stop root, whom tests may run as."""
    (tmp_path / "encodings").write_text("a file")
    cache = Cache(tmp_path)
    for number in range(3):
        with cache.cache.turn(numbered(number)), cache.cache.try_turn(numbered(9)) as had:
            assert had
            assert cache.cache.get(numbered(number)) is None
        cache.cache.put(numbered(number), ENCODING)
    assert cache.cache.nbytes == 0
    assert {record.message.partition(" (")[0] for record in caplog.records} == {
        "encodings cannot be kept on disk",
        "encodings on disk cannot be read",
    }
    assert len(caplog.records) == 2


def test_put_later_keeps_it_in_the_background(one: Cache) -> None:
    done: list[int] = []
    for number in range(20):
        one.cache.put_later(numbered(number), ENCODING, lambda number=number: done.append(one.cache.get(numbered(number)) is not None))
        one.cache.flush()
    assert one.counted["written"] == 20
    assert done == [True] * 20  # told when it can be read


def test_what_waits_to_be_written_has_a_limit(one: Cache) -> None:
    done: list[int] = []
    with FileLock(one.locks() / "room").held():
        for number in range(20):
            one.cache.put_later(numbered(number), ENCODING, lambda number=number: done.append(number))
        assert len(done) >= 20 - disk_cache._WAITING - 1
    one.cache.flush()
    assert sorted(done) == list(range(20))
    assert 1 <= one.counted["written"] <= disk_cache._WAITING + 1


def test_a_turn_that_stays_taken_is_waited_for_so_long_and_no_longer(tmp_path: Path) -> None:
    cache, impatient = Cache(tmp_path), Cache(tmp_path, patience=0.05)
    with cache.cache.turn(KEY):
        with impatient.cache.try_turn(KEY) as had:
            assert not had
        with impatient.cache.turn(KEY) as had:  # goes on all the same: a click is waiting
            assert not had
    with impatient.cache.try_turn(KEY) as had:
        assert had
