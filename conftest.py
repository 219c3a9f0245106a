"""Loads the plugin for runs in the checkout; an installed copy is loaded by its entry point.

`pytester` is for tests/plugin: pytest lets no other conftest.py than the topmost load plugins.
"""

pytest_plugins = ("mmflow_bench.plugin", "pytester")
