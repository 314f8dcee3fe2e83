"""Published checkpoints in, models for the Hugging Face Hub out, and the text pipeline."""

from typing import Any

PIPELINES = ("GiddPipeline", "TextPipeline")


def __getattr__(name: str) -> Any:
    """The pipelines, imported when they are asked for: torch takes seconds."""
    if name not in PIPELINES:
        raise AttributeError(f"module 'hub' has no attribute {name!r}")
    from hub import pipeline

    return getattr(pipeline, name)
