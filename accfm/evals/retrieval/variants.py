"""The variants of retrieval, their pools, and how many answers are looked at.
"""

from ml_collections import ConfigDict

TOP = (1, 3, 5, 10)  # the k of recall@k
VARIANTS = {
    "": "all windows",
    "not_adjacent": "without the query's neighbours in time",
    "other_people": "among other people's windows",
    "still": "stiller half",
    "within_person": "within one person",
}


def where_control_fails(variant: str) -> str:
  """The name of a variant over the pools where the motion envelope fails."""
  return f"{variant}/control_fails" if variant else "control_fails"


def pool_sizes(cfg: ConfigDict, variant: str = "") -> list[int | str]:
  """The sizes of a variant's pools, "all" at the end."""
  sizes = [cfg.within_pool] if variant == "within_person" else cfg.pools
  return [*sizes, "all"]


def first_pool(cfg: ConfigDict) -> int | str:
  """The pool that is looked at first."""
  return pool_sizes(cfg)[0]
