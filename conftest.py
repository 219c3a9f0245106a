"""Loads the plugin for runs in the checkout; an installed copy is loaded by its entry point."""

pytest_plugins = ("mmflow_bench.plugin",)
