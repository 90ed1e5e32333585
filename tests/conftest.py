"""Plugins of the whole suite."""

pytest_plugins = ["stack", "origins"]
