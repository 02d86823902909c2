"""A .mat file is expanded within its bound, whatever its headers say."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import scipy.io

from accfm.base import expansion
from accfm.base.errors import InputError
from accfm.data.sources import matfile

MB = 1 << 20


def write(path, compress=True, version="5", **arrays):
  scipy.io.savemat(path, arrays, do_compression=compress, format=version)
  return path


def peak(function, *args):
  """(bytes allocated at most, the error)."""
  tracemalloc.start()
  try:
    with pytest.raises(InputError) as error:
      function(*args)
    return tracemalloc.get_traced_memory()[1], str(error.value)
  finally:
    tracemalloc.stop()


@pytest.mark.parametrize("version", ["4", "5"])
@pytest.mark.parametrize("compress", [True, False])
def test_numbers_of_every_type_come_back(tmp_path, compress, version):
  if compress and version == "4":
    compress = False
  rng = np.random.default_rng(0)
  for kind in (np.float64, np.float32, np.int16, np.uint8):
    want = (100 * rng.random((6, 50))).astype(kind)
    path = write(
        tmp_path / "x.mat", compress, version, other="text", sig=want,
        last=np.zeros(3),
    )
    got = matfile.read_array(path, "sig")
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, want)


def bombs(folder):
  """Small files that say they are, or are, 64 MiB."""
  zeros = np.zeros((8, MB))
  yield write(folder / "double.mat", sig=zeros)
  yield write(folder / "other.mat", other=zeros, sig=np.ones((6, 5)))
  # Stored as bytes and expanded to double: 8 MiB in the file's own stream.
  yield write(folder / "bytes.mat", sig=zeros.astype(np.int8))
  # A stream that goes on, and one whose text, not its numbers, is long.
  good = write(folder / "good.mat", sig=np.ones((6, 5))).read_bytes()
  size = struct.unpack("<I", good[132:136])[0]
  inner = zlib.decompress(good[136:136 + size])
  for name, claim in (("claims", 64 * MB), ("is", len(inner) - 8)):
    long = struct.pack("<II", 14, claim) + inner[8:] + bytes(64 * MB)
    packed = zlib.compress(long)
    path = folder / f"{name}.mat"
    path.write_bytes(
        good[:128] + struct.pack("<II", 15, len(packed)) + packed
    )
    yield path
  named = zlib.compress(
      struct.pack("<II", 14, 64 * MB)
      + inner[8:40] + struct.pack("<II", 1, 63 * MB) + b"a" * (63 * MB)
  )
  path = folder / "name.mat"
  path.write_bytes(good[:128] + struct.pack("<II", 15, len(named)) + named)
  yield path


def test_a_bomb_is_refused_before_it_expands(tmp_path, monkeypatch):
  monkeypatch.setenv(expansion.VARIABLE, "4")
  for path in bombs(tmp_path):
    if path.name == "is.mat":  # what lies behind the array is never expanded
      assert matfile.read_array(path, "sig").shape == (6, 5)
      continue
    assert path.stat().st_size < MB
    most, line = peak(matfile.read_array, path, "sig")
    assert most < 14 * MB, (path.name, most)
    assert "MiB" in line and "at most 4 MiB" in line, line
    assert f"{expansion.VARIABLE}=" in line and "\n" not in line


def test_the_bound_can_be_raised(tmp_path, monkeypatch):
  path = write(tmp_path / "x.mat", sig=np.zeros((8, MB)))
  monkeypatch.setenv(expansion.VARIABLE, "4")
  with pytest.raises(InputError) as error:
    matfile.read_array(path, "sig")
  value = str(error.value).rpartition("=")[2]
  monkeypatch.setenv(expansion.VARIABLE, value)
  assert matfile.read_array(path, "sig").shape == (8, MB)


def test_nothing_but_numbers_is_read(tmp_path, monkeypatch):
  monkeypatch.setenv(expansion.VARIABLE, "4")
  for value in (
      np.zeros((2, 2), object), {"a": 1}, "text", np.ones((2, 2)) * 1j,
      scipy.sparse.eye(4, format="csc"),
  ):
    path = write(tmp_path / "x.mat", sig=value)
    with pytest.raises(InputError, match="not an array of real numbers"):
      matfile.read_array(path, "sig")


@pytest.mark.parametrize("value", ["0", "-1", "x", "1e3", "²", "9" * 30])
def test_the_bound_is_a_number(monkeypatch, value):
  monkeypatch.setenv(expansion.VARIABLE, value)
  with pytest.raises(InputError, match=expansion.VARIABLE):
    expansion.bound()
