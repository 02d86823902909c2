"""JSON from outside is plain data within bounds, or one line."""

import json

import pytest

from accfm.base import jsonfile
from accfm.base.errors import InputError

WANT = "a list of numbers; write it again"


def nested(depth):
  return "[" * depth + "]" * depth


def test_what_was_written_is_read(tmp_path):
  value = {"a": [1, 2.5, None, True, "é"], "b": {}, "c": -(1 << 63)}
  path = tmp_path / "x.json"
  path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
  assert jsonfile.read(path, WANT) == value
  assert jsonfile.read_object(path, WANT) == value
  assert jsonfile.parse(nested(jsonfile.MAX_DEPTH), "x", WANT)
  assert jsonfile.parse("3", "x", WANT) == 3
  assert jsonfile.parse("[NaN, 1e999]", "x", WANT, finite=False)


@pytest.mark.parametrize("text, says", [
    (nested(jsonfile.MAX_DEPTH + 1), "deeper than 64"),
    (nested(100_000), "valid JSON"),
    ('{"a":' * 200 + "1" + "}" * 200, "deeper"),
    ('{"a": 1, "a": 2}', "'a' stands twice"),
    ("{" + f'"{"k" * 9999}": 1,' * 2 + '"a": 2}', "twice"),
    ("[NaN]", "not finite"), ("-Infinity", "not finite"),
    ("1e999", "not finite"), ("1" + "0" * 9999, "64 bits"),
    (str(1 << 64), "64 bits"), ("", "valid JSON"), ("{", "valid JSON"),
])
def test_what_nobody_wrote_is_one_line(text, says):
  with pytest.raises(InputError, match=says) as error:
    jsonfile.parse(text, "file.json", WANT)
  line = str(error.value)
  assert line.startswith("file.json") and WANT in line
  assert len(line) < 400 and "\n" not in line


@pytest.mark.parametrize("value, says", [
    (b"[]", "want an object"), (b"7", "want an object"),
    ("{}".encode("utf-16"), "UTF-16"), (b'{"\xe9": 1}', "Latin-1"),
    (b"{}\0", "NUL"), (b"", "valid JSON"),
])
def test_files_that_are_no_objects(tmp_path, value, says):
  path = tmp_path / "x.json"
  path.write_bytes(value)
  with pytest.raises(InputError, match=says) as error:
    jsonfile.read_object(path, WANT)
  assert str(path) in str(error.value) and WANT in str(error.value)


def test_sizes_and_kinds_of_files_are_bounded(tmp_path):
  path = tmp_path / "x.json"
  path.write_text("[" + " " * 100 + "]")
  assert jsonfile.read(path, WANT, max_bytes=102) == []
  with pytest.raises(InputError, match="got 102 bytes, want at most 101"):
    jsonfile.read(path, WANT, max_bytes=101)
  with pytest.raises(InputError, match="a folder"):
    jsonfile.read(tmp_path, WANT)
  with pytest.raises(InputError, match="No such file"):
    jsonfile.read(tmp_path / "none", WANT)
