"""The cache never holds more bytes than it may, and forgets what was not asked for longest."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backend.byte_cache import ByteCache


@given(st.integers(0, 50), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30))))
def test_never_more_bytes_than_the_capacity(capacity: int, puts: list[tuple[int, int]]) -> None:
    cache: ByteCache[int, int] = ByteCache(capacity)
    kept: dict[int, int] = {}
    for key, nbytes in puts:
        cache.put(key, nbytes, nbytes)
        kept[key] = nbytes
        assert cache.nbytes <= capacity
        there = {key: nbytes for key in kept if (nbytes := cache.get(key)) is not None}
        assert sum(there.values()) == cache.nbytes
        assert len(there) == len(cache)
        assert all(kept[key] == nbytes for key, nbytes in there.items())


def test_the_value_not_asked_for_longest_goes_first() -> None:
    cache: ByteCache[str, str] = ByteCache(3)
    for key in "abc":
        cache.put(key, key, 1)
    cache.get("a")
    cache.put("d", "d", 1)
    assert [cache.get(key) for key in "abcd"] == ["a", None, "c", "d"]


def test_a_value_larger_than_the_capacity_displaces_nothing() -> None:
    cache: ByteCache[str, str] = ByteCache(3)
    cache.put("a", "a", 2)
    cache.put("b", "b", 4)
    assert cache.get("a") == "a"
    assert cache.get("b") is None


def test_a_value_put_twice_counts_once() -> None:
    cache: ByteCache[str, str] = ByteCache(10)
    cache.put("a", "old", 4)
    cache.put("a", "new", 6)
    assert (cache.get("a"), cache.nbytes, len(cache)) == ("new", 6, 1)
