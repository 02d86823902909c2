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


def packed(path, parts, claim):
  """A file of one compressed variable: its bytes, and what its tag says."""
  body = zlib.compress(struct.pack("<II", 14, claim) + parts)
  path.write_bytes(HEAD + struct.pack("<II", 15, len(body)) + body)
  return path


HEAD = b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x100) + b"IM"
FLAGS = struct.pack("<IIII", 6, 8, 6, 0)  # double
SHAPE = struct.pack("<IIii", 5, 8, 6, 5)
NAME = struct.pack("<HH4s", 1, 3, b"sig")
NUMBERS = struct.pack("<II30d", 9, 240, *range(30))


@pytest.fixture
def small(monkeypatch):
  monkeypatch.setenv(expansion.VARIABLE, "4")


def test_a_bomb_is_refused_before_it_expands(tmp_path, small):
  zeros = np.zeros((8, MB))
  for path in (
      write(tmp_path / "double.mat", sig=zeros),
      # Stored as bytes, and expanded to doubles afterwards.
      write(tmp_path / "bytes.mat", sig=zeros.astype(np.int8)),
  ):
    assert path.stat().st_size < MB
    most, line = peak(matfile.read_array, path, "sig")
    assert most < 2 * MB, (path.name, most)
    assert "expands to 64 MiB" in line and "at most 4 MiB" in line, line
    assert f"{expansion.VARIABLE}=64" in line and "\n" not in line


def test_headers_that_claim_much_take_nothing(tmp_path, small):
  """What is not in the file, or not an array's size, is not believed."""
  long = struct.pack("<II", 1, 63 * MB) + b"a" * (63 * MB)
  for number, parts in enumerate((
      FLAGS + SHAPE + long + NUMBERS,
      FLAGS + struct.pack("<II", 5, 63 * MB) + bytes(63 * MB),
      struct.pack("<II", 6, 63 * MB) + bytes(63 * MB),
      FLAGS + SHAPE + NAME + struct.pack("<II", 9, 63 * MB) + bytes(63 * MB),
      FLAGS + SHAPE + NAME + NUMBERS[:50],
      FLAGS + SHAPE + NAME + struct.pack("<II", 2**20 + 1, 240) + bytes(240),
      FLAGS + SHAPE + NAME + struct.pack("<II", 77, 240) + bytes(240),
      FLAGS + struct.pack("<IIii", 5, 8, -6, -5) + NAME + NUMBERS,
      FLAGS + struct.pack("<IIii", 5, 8, 6, 4) + NAME + NUMBERS,
  )):
    path = packed(tmp_path / f"{number}.mat", parts, 64 * MB)
    most, line = peak(matfile.read_array, path, "sig")
    assert most < 2 * MB and "not a readable MATLAB file" in line, line


def test_what_is_not_asked_for_is_not_expanded(tmp_path, small):
  want = np.arange(30.0).reshape((6, 5), order="F")
  other = write(
      tmp_path / "other.mat", other=np.zeros((8, MB)), sig=want
  )
  behind = packed(
      tmp_path / "behind.mat", FLAGS + SHAPE + NAME + NUMBERS + bytes(64 * MB),
      64 * MB,
  )
  for path in (other, behind):
    tracemalloc.start()
    np.testing.assert_array_equal(matfile.read_array(path, "sig"), want)
    assert tracemalloc.get_traced_memory()[1] < 2 * MB
    tracemalloc.stop()


@pytest.mark.parametrize("order", ["<", ">"])
def test_either_order_of_bytes_and_any_shape(tmp_path, order):
  rng = np.random.default_rng(0)
  for shape in ((6, 5), (1, 1), (2, 3, 4), (7, 1)):
    want = rng.integers(-9, 9, shape)
    axes = struct.pack(f"{order}{len(shape)}i", *shape)
    data = want.ravel(order="F").astype(f"{order}i2").tobytes()
    parts = b"".join((
        struct.pack(f"{order}IIII", 6, 8, 6, 0),
        struct.pack(f"{order}II", 5, len(axes)), axes, bytes(-len(axes) % 8),
        struct.pack(f"{order}II", 1, 3) + b"sig" + bytes(5),
        struct.pack(f"{order}II", 3, len(data)), data, bytes(-len(data) % 8),
    )) if len(data) > 4 else b"".join((
        struct.pack(f"{order}IIII", 6, 8, 6, 0),
        struct.pack(f"{order}II", 5, len(axes)), axes, bytes(-len(axes) % 8),
        struct.pack(f"{order}II", 1, 3) + b"sig" + bytes(5),
        struct.pack(f"{order}I", len(data) << 16 | 3), data.ljust(4, b"\0"),
    ))
    mark = b"IM" if order == "<" else b"MI"
    path = tmp_path / "x.mat"
    path.write_bytes(
        b"x".ljust(124) + struct.pack(f"{order}H", 0x100) + mark
        + struct.pack(f"{order}II", 14, len(parts)) + parts
    )
    np.testing.assert_array_equal(matfile.read_array(path, "sig"), want)
    np.testing.assert_array_equal(scipy.io.loadmat(path)["sig"], want)


def test_the_bound_can_be_raised(tmp_path, monkeypatch):
  path = write(tmp_path / "x.mat", sig=np.zeros((8, MB)))
  monkeypatch.setenv(expansion.VARIABLE, "4")
  with pytest.raises(InputError) as error:
    matfile.read_array(path, "sig")
  value = str(error.value).rpartition("=")[2]
  monkeypatch.setenv(expansion.VARIABLE, value)
  assert matfile.read_array(path, "sig").shape == (8, MB)


def test_nothing_but_numbers_is_read(tmp_path, small):
  for value in (
      np.zeros((2, 2), object), {"a": 1}, "text", np.ones((2, 2)) * 1j,
      scipy.sparse.eye(4, format="csc"),
  ):
    path = write(tmp_path / "x.mat", sig=value)
    with pytest.raises(InputError, match="not an array of real numbers"):
      matfile.read_array(path, "sig")
