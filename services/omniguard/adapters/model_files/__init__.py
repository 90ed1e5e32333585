"""A model's folder, brought from where the operator keeps it, and put in place whole or not at all."""

from omniguard.adapters.model_files.folder import Fetched, ModelFolder
from omniguard.adapters.model_files.outcomes import ModelNotFetched, Progress
from omniguard.adapters.model_files.sources import ModelSource, model_source

__all__ = ["Fetched", "ModelFolder", "ModelNotFetched", "ModelSource", "Progress", "model_source"]
