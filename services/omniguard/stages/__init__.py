"""The steps of the pipeline: ingest, chunk, judge, decide, publish. One class a file, one verb a class."""
