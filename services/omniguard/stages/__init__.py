"""The steps of the pipeline, ingest, chunk, judge, decide and publish, and what composes them. One class a file."""
