"""The report of a run as one offline HTML file."""

from mmflow_bench.reports.html.writing import write_report

__all__ = ["write_report"]
