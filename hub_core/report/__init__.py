"""Looking at results: what a module answers on labelled rows, as a page, and two modules side by side."""

from hub_core.report.any_task import TaskReport
from hub_core.report.comparison import Comparison, Difference, compare
from hub_core.report.making import Report, make_records, make_report, report_on
from hub_core.report.records import read_records

__all__ = [
    "Comparison",
    "Difference",
    "Report",
    "TaskReport",
    "compare",
    "make_records",
    "make_report",
    "read_records",
    "report_on",
]
