"""The evaluators, by the names that configs use.

An evaluator is a function of one file, `score(data, cfg, figures)`: it adds
its figures and returns an Outcome, which describes its section of the report
as plain data (`results/section.py`). Sections come in the order of EVALS.
"""

from accfm.evals.embedding.health import score_health
from accfm.evals.probes.direct import score_direct
from accfm.evals.probes.run import score_probes
from accfm.evals.results.outcome import Evaluator
from accfm.evals.retrieval.membership import score_membership
from accfm.evals.retrieval.reidentify import score_reidentification
from accfm.evals.retrieval.run import score_retrieval

EVALS: dict[str, Evaluator] = {
    "retrieval": score_retrieval,
    "probe": score_probes,
    "direct": score_direct,
    "health": score_health,
    "reidentify": score_reidentification,
    "membership": score_membership,
}
