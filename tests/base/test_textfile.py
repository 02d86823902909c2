"""Text and tables from outside are read whole in UTF-8, or refused by line."""

import os

import pytest

from accfm.base import textfile
from accfm.base.errors import InputError

WANT = "a table of people; save it as CSV"


def test_a_table_by_line(tmp_path):
  path = tmp_path / "x.csv"
  path.write_bytes(
      b'\xef\xbb\xbfa, b\r\n\r\n1,"x\n\ny"\n , \n"q""q",2\n'
  )
  assert textfile.read_table(path, WANT) == [
      (1, ["a", "b"]), (3, ["1", "x\n\ny"]), (7, ['q"q', "2"]),
  ]


@pytest.mark.parametrize("data, says", [
    ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
    ("a,b\n1,2\n".encode("utf-32"), "UTF-32"),
    ("a,b\né,2\n".encode("latin-1"), "line 2: byte 0xe9 is not UTF-8"),
    (b"a,b\n1,\0\n", "line 2: got a NUL"),
    (b"a,b\n" + b"9" * 200_000 + b",1\n", "line 2: .*cell|line 2: field"),
    (b"a,b\n" + b"9" * 110_000 + b",1\n", "line 2: a cell of more than"),
    (b'a,b\n1,"2\n3\n', "line 2: "),
])
def test_what_is_no_table_is_one_line(tmp_path, data, says):
  path = tmp_path / "x.csv"
  path.write_bytes(data)
  with pytest.raises(InputError, match=says) as error:
    textfile.read_table(path, WANT)
  line = str(error.value)
  assert str(path) in line and WANT in line
  assert len(line) < 500 and "\n" not in line


def test_a_pipe_is_not_waited_for(tmp_path):
  os.mkfifo(tmp_path / "pipe")
  with pytest.raises(InputError, match="no regular file"):
    textfile.read_text(tmp_path / "pipe", WANT)


def test_missing_values_and_numbers():
  for cell in ("", " ", "NA", "na", "N/A", "#N/A", "NaN", "Null", "none", "-",
               ".", "<NA>"):
    assert textfile.is_missing(cell), cell
  for cell in ("0", "-999", "--", "..", "no", "n.d.", "nana", "?"):
    assert not textfile.is_missing(cell), cell
  assert textfile.as_number("-999") == -999 and textfile.as_number("1e3") == 1e3
  for cell in ("1_000", "", "x", "1,5", "0x1f"):
    assert textfile.as_number(cell) is None, cell
  assert textfile.missing_words().startswith("an empty cell, na, n/a, ")
