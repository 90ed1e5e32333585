"""The whole service on a real Kubernetes cluster. `make test-cluster` runs it; `where.py` says on which cluster."""
