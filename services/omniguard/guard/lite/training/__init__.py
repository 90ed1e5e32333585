"""Trains and measures the text heads: `python -m omniguard.guard.lite.training`. Never imported by the engine."""
