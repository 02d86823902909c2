"""Labels of one's own: what is read, what is joined, what is refused."""

import numpy as np
import pytest

from accfm.base.errors import InputError
from accfm.evals.probes import own_labels

TABLES = {
    "train": {
        "participant": np.array(["s/a", "s/a", "s/b"]),
        "session": np.array(["1", "2", "1"]),
        "start_s": np.array([1.6e9, 1.6e9 + 60, 1.6e9]),
        "labels/hr_bpm": np.zeros(3, np.float32),
    },
    "test": {
        "participant": np.array(["s/c", "s/c"]),
        "session": np.array(["1", "1"]),
        "start_s": np.array([1.6e9, 1.6e9 + 60]),
        "labels/hr_bpm": np.zeros(2, np.float32),
    },
}


@pytest.fixture
def file(tmp_path):
  def write(text):
    path = tmp_path / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path

  return write


def test_persons(file):
  """A value of a person is an attribute of all their windows."""
  own = own_labels.load(file(
      "participant,grip_kg,group\ns/a,31.5,x\ns/c,,y\ns/zz,40,x\n"))
  out, unused = own_labels.join(own, TABLES)
  np.testing.assert_array_equal(
      out["train"]["attributes/grip_kg"],
      np.array([31.5, 31.5, np.nan], np.float32))
  np.testing.assert_array_equal(
      out["test"]["attributes/grip_kg"], np.full(2, np.nan, np.float32))
  assert out["train"]["attributes/group"].tolist() == ["x", "x", ""]
  assert out["test"]["attributes/group"].tolist() == ["y", "y"]
  assert unused == 1


def test_sessions_and_windows(file):
  own = own_labels.load(file("participant,session,pain\ns/a,2,7\ns/c,1,3\n"))
  out, unused = own_labels.join(own, TABLES)
  np.testing.assert_array_equal(
      out["train"]["labels/pain"], np.array([np.nan, 7, np.nan], np.float32))
  assert out["test"]["labels/pain"].tolist() == [3, 3] and unused == 0
  own = own_labels.load(file(
      "participant,session,start_s,pain\n"
      "s/c,1,1600000060.4,9\ns/a,1,1600000001,1\ns/a,1,1600000000.2,2\n"))
  out, unused = own_labels.join(own, TABLES)
  np.testing.assert_array_equal(
      out["test"]["labels/pain"], np.array([np.nan, 9], np.float32))
  np.testing.assert_array_equal(
      out["train"]["labels/pain"], np.array([2, np.nan, np.nan], np.float32))
  assert unused == 1


@pytest.mark.parametrize("word", [
    "", "NA", "N/A", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "None", "-",
    ".", " na ",
])
def test_a_missing_value_is_missing(file, word, capsys):
  """Among numbers the label stays numbers; -999 is one of them."""
  lines = "participant,x\ns/a,{}\n" + f"s/b,{word}" + "\ns/c,{}\n"
  own = own_labels.load(file(lines.format(31.5, -999)))
  np.testing.assert_array_equal(
      own.values["attributes/x"], np.array([31.5, np.nan, -999], np.float32))
  assert capsys.readouterr().err == ""
  own = own_labels.load(file(lines.format("old", "new")))
  assert own.values["attributes/x"].tolist() == ["old", "", "new"]
  said = capsys.readouterr().err  # "None" might have been a class
  assert said.count("\n") == bool(word)
  assert ("line 3: x is" in said and "a missing value" in said) == bool(word)


def test_a_column_of_missing_values_alone_is_of_numbers(file):
  own = own_labels.load(file("participant,x,y\ns/a,NA,1\ns/b,-,2\n"))
  assert np.isnan(own.values["attributes/x"]).all()


@pytest.mark.parametrize("cells, line", [
    (["1", "2", "3", "n.d."], 5), (["n.d.", "2"], 2), (["<5", "NA", "5"], 2),
    (["1", "2+", "0", "0", "3"], 3), (["1_000", "12"], 2),
    (["", "0x1f", "4"], 3),
])
def test_a_text_among_numbers_is_refused_by_line(file, cells, line):
  text = "participant,x\n" + "".join(
      f"s/{i},{cell}\n" for i, cell in enumerate(cells))
  odd = cells[line - 2]
  with pytest.raises(InputError) as error:
    own_labels.load(file(text))
  said = str(error.value)
  assert f"line {line}: x is {odd!r}, but " in said
  assert "write an empty cell, na, n/a" in said


def test_numbers_among_texts_are_classes_and_said(file, capsys):
  own = own_labels.load(
      file("participant,x\ns/a,1a\ns/b,2\ns/c,1b\ns/d,3\ns/e,2b\n"))
  assert own.values["attributes/x"].tolist() == ["1a", "2", "1b", "3", "2b"]
  said = capsys.readouterr().err
  assert said.count("\n") == 1 and said.startswith("warning: labels ")
  assert "line 3: x is '2', which is a class like the others" in said
  assert "(1 more like it)" in said


@pytest.mark.parametrize("text, want", [
    ("", "want participant"),
    ("participant\ns/a\n", "one column per label"),
    ("person,x\ns/a,1\n", "want participant"),
    ("participant,x,x\ns/a,1,2\n", "each named once"),
    ("participant,x\n", "no rows"),
    ("participant,x\ns/a\n", "line 2: got 1 cells, want 2"),
    ("participant,start_s,x\ns/a,1,1\n", "start_s without session"),
    ("participant,session,start_s,x\ns/a,1,noon,1\n", "line 2: start_s"),
    ("participant,session,start_s,x\ns/a,1,nan,1\n", "line 2: start_s"),
    ("participant,x\ns/a,1\ns/b,inf\n", "line 3: x is inf, want"),
    ("participant,x\ns/a,1\ns/b,1e39\n", "line 3: x is 1e39, want"),
    ("participant,x\ns/a,1\n\ns/a,2\n", "line 4: .* also on line 2"),
])
def test_bad_files(file, text, want):
  with pytest.raises(InputError, match=want):
    own_labels.load(file(text))


def test_bad_bytes_and_no_file(tmp_path):
  path = tmp_path / "labels.csv"
  with pytest.raises(InputError, match="cannot be read"):
    own_labels.load(path)
  path.write_bytes(b"participant,x\ns/a,\xff\xfe\n")
  with pytest.raises(InputError, match="line 2: byte 0xff is not UTF-8"):
    own_labels.load(path)


def test_nothing_fits_or_a_name_is_taken(file):
  with pytest.raises(InputError, match="no window has any of the 1 rows"):
    own_labels.join(own_labels.load(file("participant,x\na,1\n")), TABLES)
  text = "participant,session,hr_bpm\ns/a,1,60\n"
  with pytest.raises(InputError, match="labels/hr_bpm"):
    own_labels.join(own_labels.load(file(text)), TABLES)


def test_columns_of_a_file_or_of_none(file, capsys):
  assert own_labels.load_columns("", TABLES) == {}
  path = file("participant,x\ns/a,1\ns/zz,2\ns/c,3\n")
  out = own_labels.load_columns(path, TABLES)
  assert out["test"]["attributes/x"].tolist() == [3, 3]
  said = capsys.readouterr().out
  assert "1 of 3 rows belong to no window of train, test" in said
