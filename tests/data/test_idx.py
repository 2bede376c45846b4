from __future__ import annotations

import gzip
import tracemalloc

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from spikemnist.data.idx import LARGEST, decode_idx, unpack
from tests.data.idx_files import encode


@st.composite
def byte_tensors(draw, max_dims=4):
    shape = draw(st.lists(st.integers(0, 5), min_size=1, max_size=max_dims))
    seed = draw(st.integers(0, 2**32))
    return torch.randint(
        256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def refusal(function, *arguments, **options):
    """Return the text of the ValueError that the call raises, None when it raises none."""
    try:
        function(*arguments, **options)
    except ValueError as error:
        return str(error)
    return None


@given(byte_tensors())
def test_what_was_written_is_read(values):
    decoded = decode_idx(encode(values), dims=values.ndim, name="file")
    assert decoded.dtype == torch.uint8
    assert decoded.shape == values.shape
    assert torch.equal(decoded, values)


@given(byte_tensors(), st.integers(1, 10_000))
def test_every_truncation_is_refused(values, cut):
    data = encode(values)
    cut = min(cut, len(data))
    with pytest.raises(ValueError, match="file is truncated"):
        decode_idx(data[: len(data) - cut], dims=values.ndim, name="file")


@given(byte_tensors(), st.binary(min_size=1, max_size=20))
def test_trailing_bytes_are_refused(values, extra):
    with pytest.raises(ValueError, match="file has trailing bytes"):
        decode_idx(encode(values) + extra, dims=values.ndim, name="file")


@given(st.binary(max_size=64), st.integers(1, 4))
def test_any_bytes_are_read_or_refused_by_name(data, dims):
    message = refusal(decode_idx, data, dims=dims, name="some file")
    assert message is None or message.startswith("some file ")


def test_decoded_tensor_is_independent_of_the_bytes():
    data = encode(torch.tensor([1, 2, 3], dtype=torch.uint8))
    decoded = decode_idx(data, dims=1, name="file")
    decoded.zero_()
    assert data[-3:] == bytes([1, 2, 3])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "truncated: 0 bytes"),
        (b"\0\0\x08", "truncated: 3 bytes"),
        (b"\0\0\x08\x03\0\0\0\1", "its header alone takes 16"),
        (b"\0\0\x08\x01\0\0\0\0", "magic number 0x00000801, expected 0x00000803.*holds labels"),
        (b"\0\0\x0d\x03" + bytes(12), "magic number 0x00000d03, expected 0x00000803"),
        (b"<!DOCTYPE html><title>Not found</title>", "looks like a web page"),
        (b"\n <html>", "looks like a web page"),
        (b"PK\x03\x04abcdefgh", "magic number 0x504b0304"),
    ],
)
def test_wrong_beginnings_are_named(data, message):
    with pytest.raises(ValueError, match=message):
        decode_idx(data, dims=3, name="file")


def test_sizes_beyond_memory_are_a_truncation():
    with pytest.raises(ValueError, match="truncated"):
        decode_idx(b"\0\0\x08\x03" + b"\xff" * 12, dims=3, name="file")


@given(st.binary(max_size=200))
def test_unpack_undoes_gzip(data):
    assert unpack(gzip.compress(data), name="file") == data


def test_unpack_leaves_other_bytes_alone():
    data = encode(torch.zeros(3, dtype=torch.uint8))
    assert unpack(data, name="file") is data


@given(st.integers(2, 10_000))
def test_truncated_gzip_is_refused(length):
    packed = gzip.compress(bytes(range(256)) * 4)
    with pytest.raises(ValueError, match="file is a damaged or truncated gzip file"):
        unpack(packed[: min(length, len(packed) - 1)], name="file")


def test_a_gzip_bomb_is_refused_before_it_is_unpacked():
    """A file of 1 MB that stands for 1 GB: memory does not grow with what it claims."""
    zeros = gzip.compress(bytes(10_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="bomb unpacks to more than 47,040,016 bytes"):
            unpack(zeros * 100, name="bomb")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * LARGEST


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_damaged_gzip_is_refused_or_unharmed(place, flip):
    content = bytes(range(256)) * 4
    packed = bytearray(gzip.compress(content, mtime=0))
    packed[2 + place % (len(packed) - 2)] ^= flip
    message = refusal(unpack, bytes(packed), name="file")
    if message is None:  # a header byte of no consequence
        assert unpack(bytes(packed), name="file") == content
    else:
        assert message.startswith("file is a damaged or truncated gzip file: ")
