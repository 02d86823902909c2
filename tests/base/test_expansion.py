"""A file's size in memory is judged before it is expanded."""

import tracemalloc
import zipfile

import numpy as np
import pytest

from accfm.base import expansion
from accfm.base.errors import InputError

MB = 1 << 20


def test_a_file_of_parts_that_expand(tmp_path, monkeypatch):
  monkeypatch.setenv(expansion.VARIABLE, "4")
  path = tmp_path / "x.npz"
  np.savez_compressed(path, x=np.zeros(4 * MB))
  assert path.stat().st_size < MB
  tracemalloc.start()
  with pytest.raises(InputError, match="32 MiB|33 MiB") as error:
    expansion.check_zip(path)
  assert tracemalloc.get_traced_memory()[1] < MB
  tracemalloc.stop()
  assert str(path) in str(error.value) and "at most 4 MiB" in str(error.value)
  np.savez(path, x=np.zeros(4 * MB))  # as large on disk: no surprise
  expansion.check_zip(path)
  path.write_bytes(b"PK")
  with pytest.raises(zipfile.BadZipFile):
    expansion.check_zip(path)


def test_a_bound_of_its_own_counts_where_it_is_larger(tmp_path, monkeypatch):
  monkeypatch.setenv(expansion.VARIABLE, "1")
  (tmp_path / "x").write_bytes(b"x")
  expansion.check(tmp_path / "x", 2 * MB, 3 * MB)
  expansion.check(tmp_path / "x", MB, 5)
  with pytest.raises(InputError, match="ACCFM_MAX_EXPANDED_MB=4"):
    expansion.check(tmp_path / "x", 3 * MB + 1, 3 * MB)


@pytest.mark.parametrize("value", ["0", "-1", "x", "1e3", "²", "9" * 30])
def test_the_bound_is_a_number(monkeypatch, value):
  monkeypatch.setenv(expansion.VARIABLE, value)
  with pytest.raises(InputError, match=expansion.VARIABLE):
    expansion.bound()
  monkeypatch.delenv(expansion.VARIABLE)
  assert expansion.bound() == expansion.DEFAULT_MB * MB
