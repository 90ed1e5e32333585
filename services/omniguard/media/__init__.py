"""Probing, sampling plans and decoding of media; decoding runs in processes of its own."""
