"""Filter: which images of a dataset to use, and why not the others. Deletes nothing.

config.py      the options, declared once
base.py        a filter, its inputs, its judgement
clip.py        an encoder must take the image for its class            He et al. 2023, section 3.1
real.py        no other class's real images may be nearer than its own  He et al. 2023, section 3.2
duplicates.py  near copies, inside the set and of real images
run.py         the stage: judges a dataset and writes verdicts.py's files
audit.py       all verdicts as one table, and the threshold curve
"""

from synthset.filters.audit import audit, threshold_curve
from synthset.filters.base import Filter, FilterInputs, Judgement
from synthset.filters.config import FilterConfig
from synthset.filters.run import FILTERS, FilterResult, clear_filters, filter_dataset, judge

__all__ = [
    "FILTERS",
    "Filter",
    "FilterConfig",
    "FilterInputs",
    "FilterResult",
    "Judgement",
    "audit",
    "clear_filters",
    "filter_dataset",
    "judge",
    "threshold_curve",
]
