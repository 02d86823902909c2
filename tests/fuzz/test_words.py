"""What is typed at a prompt, and what comes over the job's own wire."""

import json
import socket

from hypothesis import strategies as st

from accfm.base import commandline, configlib, overrides
from accfm.base.commandline import Flag
from accfm.base.processes import wire
from accfm.configs import acc_mae, prepare
from tests.fuzz import hostile

FLAGS = (
    Flag("workdir", "folder of the run", ""), Flag("watch", "go on", False),
)
# Prompts hold no NUL, and bytes that are not UTF-8 come as surrogates.
typed = st.sampled_from([t for t in hostile.TEXTS if "\0" not in t]) | st.text(
    st.characters(exclude_characters="\0"), max_size=12
) | st.sampled_from([
    "(" * 3000 + ")" * 3000, "[" * 90, "-" * 5000 + "1", "1" * 9000,
    "9**9**9", "(1, 2", "{1: [2}", "1e999", "nan", "()", "(1,2)", "b'x'",
    "__import__('os')", "lambda: 0", "1,2,,3", "\udcff", "'" * 3, "1j", "...",
    "{[]: 1}", "{*()}", "-'a'", "1+2j", "0x" + "f" * 5000, "\\N{x}", "'\\N{x}'",
])


def fields(config, prefix=""):
  out = []
  for name, value in config.items():
    out.append(prefix + name)
    if hasattr(value, "items"):
      out += fields(value, f"{prefix}{name}.")
  return out


NAMES = [*fields(acc_mae.get_config("tiny")), "x", "lr.x", "", ".", "encoder."]


def test_words_of_a_command(fuzz):
  words = st.one_of(
      st.tuples(st.sampled_from(NAMES), typed).map("--config.{0[0]}={0[1]}"
                                                   .format),
      st.sampled_from(NAMES).map("--config.{}".format),
      st.sampled_from(NAMES).map("--noconfig.{}".format),
      typed, typed.map("--{}".format), typed.map("--workdir={}".format),
      typed.map("--watch={}".format), typed.map("--config={}".format),
      typed.map("--config=acc_mae:{}".format),
      typed.map("--config=acc_mae:tiny,{}=3".format),
      typed.map("--config=acc_mae:{}=3".format),
      typed.map("--config=acc_mae:encoder={}".format),
      st.sampled_from(["--workdir", "--watch", "--nowatch", "--config"]),
  )

  def check(judge, case):
    words = ["--config=acc_mae:tiny", *case]
    judge.call(case, commandline.parse, words, FLAGS)

  # What the command itself names may run, a file or a module: a plug-in.
  harmless = words.filter(lambda word: not any(
      hostile.PLANTED + named in word for named in (".py", ":")))
  fuzz(st.lists(harmless, min_size=1, max_size=3), check)


def test_fields_of_a_config(fuzz):
  configs = {
      "mae": acc_mae.get_config("tiny"), "prepare": prepare.get_config("e4"),
  }
  places = st.sampled_from(
      [(name, field) for name, c in configs.items() for field in fields(c)]
  )

  def check(judge, case):
    (name, field), text = case
    config = configs[name].copy_and_resolve_references()
    judge.call(case, overrides.set_text, config, field, text)

  fuzz(st.tuples(places, typed), check)


def test_arguments_of_a_config(fuzz):

  def check(judge, case):
    judge.call(case, lambda: configlib.parse(
        case, "name", name="e4", participants=3, minutes=1.5, tiny=False,
        other=None,
    ))

  fuzz(
      typed | st.tuples(
          st.sampled_from(["name", "participants", "minutes", "tiny", "other"]),
          typed,
      ).map("=".join),
      check,
  )


def test_messages_of_a_job(fuzz):
  valid = {"what": "here", "process": 3, "facts": {"code": "ab", "n": [1, 2]}}

  def read(data):
    one, other = socket.socketpair()
    with other:
      end = wire.Wire(one)
      other.sendall(data[:60_000])
      other.shutdown(socket.SHUT_WR)
      found = end.read()
      end.close()
    assert found is None or all(isinstance(m, dict) for m in found), found
    return found

  def check(judge, case):
    judge.call(case, read, case + b"\n")

  fuzz(
      hostile.json_files(valid, most=2)
      | hostile.damaged(json.dumps(valid).encode()),
      check,
  )
