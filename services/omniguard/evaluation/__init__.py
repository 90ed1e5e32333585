"""Measures a guard on labelled rows: what `omniguard eval` runs."""
