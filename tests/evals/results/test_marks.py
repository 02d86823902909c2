"""The marks on results whose people may have shaped the encoder."""

from accfm.evals.results import marks


def test_a_result_without_marks_says_nothing():
  for facts in ({}, {"seen": [], "validated": None, "untold": []}):
    assert marks.count(facts) == {} == marks.to_facts(marks.count(facts))
  assert marks.describe({}) == "" and marks.note({"a": {}, "b": {}}) is None
  assert marks.with_note(None, "text") == "text"


def test_each_mark_is_told_of_each_run():
  facts = {"seen": ["p"] * 1200, "validated": [], "untold": ["q", "r"]}
  counts = marks.count(facts)
  assert counts == {"seen": 1200, "untold": 2}
  assert marks.count_saved({"step": 3, **marks.to_facts(counts)}) == counts
  said = marks.describe(counts)
  assert said == (
      "1,200 of these people were seen in training; 2 of these people may have "
      "been seen in training, which their ids do not tell")
  note = marks.note({"a": counts, "b": {"validated": 3, "untold": 1}, "c": {}})
  assert note and note[0] == (
      "People scored here were seen in training: 1,200 by a; People scored "
      "here are validation people, by whom the checkpoint was chosen: 3 by b; "
      "People scored here may have been seen in training, which their ids do "
      "not tell: 2 by a, 1 by b")
  assert marks.with_note(note, "text").endswith("do on others.**\n\ntext")
