"""Whether the Hugging Face Hub can be reached: its own client tries for most of a minute, with two
lines on stderr for each attempt."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 10.0  # to wait for an answer


def unreachable() -> str | None:
    """Why the Hub cannot be reached, in one line; None where it answers."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        urllib.request.urlopen(request, timeout=SECONDS).close()
    except urllib.error.HTTPError as error:  # an answer, whatever it says
        error.close()
    except (OSError, ValueError) as error:
        return f"the Hugging Face Hub cannot be reached: {getattr(error, 'reason', error)}"
    return None


@contextmanager
def hub_or_cache() -> Iterator[str | None]:
    """Yields `unreachable()`; where there is a reason, libraries of the Hub read their caches alone
    within the block, and raise at once what is not there."""
    from huggingface_hub import constants

    reason, before = unreachable(), constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or reason is not None
    try:
        yield reason
    finally:
        constants.HF_HUB_OFFLINE = before
