"""A tokenizer with more ids than tokens."""

from data.extended import with_states
from data.tokenizers import MASK_MARK, UNKNOWN_MARK, make_tokenizer


def test_extended_tokenizer_has_the_same_texts_and_ids_of_none() -> None:
    base = make_tokenizer("text8")
    more = with_states(base, base.vocab_size + 2)
    assert (more.vocab_size, list(more.extra), more.digest) == (30, [28, 29], base.digest)
    ids = more.encode_batch(["two words"])[0].tolist()
    assert ids == base.encode_batch(["two words"])[0].tolist()
    assert more.decode([*ids, 28, 29, 30]) == f"two words{2 * UNKNOWN_MARK}{MASK_MARK}"
    assert with_states(base, base.vocab_size) is base
