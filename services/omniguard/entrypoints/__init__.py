"""Processes and commands."""
