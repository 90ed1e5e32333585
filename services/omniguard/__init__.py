"""OmniGuard: one joint judgement over the text, images, audio and video of an upload, published to Kafka."""

__version__ = "0.1.0"
