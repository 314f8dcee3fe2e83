"""Named definitions of generative perplexity: every choice that changes the number."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Protocol:
    """How texts become what a scorer reads, which of its nats count, and how they are averaged; by
    default as this suite does."""

    # "ids": as they were drawn; "text": decoded and encoded again by the scorer; "ids, else text":
    # as drawn where the scorer reads the same tokens.
    read: Literal["ids", "text", "ids, else text"] = "ids, else text"
    special_tokens: Literal["kept", "skipped"] = "kept"  # in the decoded text
    longest: int | None = None  # tokens that are kept, the rest is cut off; None: all
    # Texts longer than the scorer can read: in parts, with half of it as context, or not at all.
    windows: Literal["sliding", "one"] = "sliding"
    # The scorer's, where the text does not begin with it.
    bos: Literal["prepended", "as encoded"] = "prepended"
    # "all": every token with one before it; "first eos": without the EOS after the first one.
    scored: Literal["all", "first eos"] = "all"
    given: Literal["context", "scored"] = "context"  # what the samples were given to begin with
    # A short text of a group is followed by padding, whose first token the published masks count.
    padding: Literal["none", "first label"] = "none"
    group: int | None = None  # texts that are scored together; None: all
    drop_incomplete: bool = False  # a last group with fewer texts
    # exp of the mean over tokens; or mean of exp over texts
    average: Literal["tokens", "texts"] = "tokens"
    # of each text, in nats, mean over texts
    entropy: Literal["drawn tokens", "all tokens"] = "drawn tokens"
    features: Literal["mean", "last"] = "mean"  # positions of the scorer's last layer, for MAUVE
    published: str = "none: this suite's own"  # scorer and number of samples


MDLM = Protocol(
    read="text",
    longest=1024,
    windows="one",
    bos="as encoded",
    scored="first eos",
    given="scored",
    padding="first label",
    group=8,
    drop_incomplete=True,
    entropy="all tokens",
    features="last",
    published="gpt2-large, 200 samples (semi-autoregressive)",
)

PROTOCOLS: dict[str, Protocol] = {
    "default": Protocol(),
    "mdlm": MDLM,
    "duo": replace(MDLM, published="gpt2-large, 800 samples (512 for Psi)"),
    # One text at a time: nothing is padded, nothing dropped.
    "remdm": replace(
        MDLM, group=1, padding="none", published="gpt2-large, 5000 samples, MAUVE beside it"
    ),
    "sedd": replace(
        MDLM,
        read="ids",
        longest=None,
        scored="all",
        padding="none",
        group=32,
        average="texts",
        published="gpt2-large, 1000 samples",
    ),
    "gidd": replace(
        MDLM,
        special_tokens="skipped",
        longest=512,
        scored="all",
        group=16,
        drop_incomplete=False,
        published="gemma-2-9b, 16 samples (the script's default)",
    ),
}
