"""The pytest plugin: hooks, options and fixtures, which pytest finds here by their names.

It is imported by every pytest run of an environment that has the package, so nothing here is heavy;
what judges and reports is a second plugin, which `hooks` registers in runs that ask for it.
"""

from mmflow_bench.plugin.hooks import (
    flow,
    flow_snapshot,
    mmflow_measurements,
    pytest_addhooks,
    pytest_addoption,
    pytest_configure,
    pytest_configure_node,
    pytest_generate_tests,
    pytest_load_initial_conftests,
    pytest_xdist_auto_num_workers,
    pytest_xdist_make_scheduler,
    pytest_xdist_node_collection_finished,
)
