"""The pytest plugin: hooks and fixtures, nothing else, and nothing heavy.

It is imported by every pytest run of an environment that has the package, so torch, numpy, pyarrow
and pydantic are imported by the functions that need them.
"""

from mmflow_bench.plugin.fixtures import flow, flow_snapshot, mmflow_measurements
from mmflow_bench.plugin.hooks import (
    pytest_addhooks,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_generate_tests,
    pytest_report_header,
    pytest_report_teststatus,
    pytest_runtest_call,
    pytest_runtest_makereport,
    pytest_sessionfinish,
    pytest_sessionstart,
    pytest_terminal_summary,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
    pytest_xdist_setupnodes,
)
from mmflow_bench.plugin.options import pytest_addoption

__all__ = [
    "flow",
    "flow_snapshot",
    "mmflow_measurements",
    "pytest_addhooks",
    "pytest_addoption",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_generate_tests",
    "pytest_report_header",
    "pytest_report_teststatus",
    "pytest_runtest_call",
    "pytest_runtest_makereport",
    "pytest_sessionfinish",
    "pytest_sessionstart",
    "pytest_terminal_summary",
    "pytest_xdist_auto_num_workers",
    "pytest_xdist_make_scheduler",
    "pytest_xdist_setupnodes",
]
