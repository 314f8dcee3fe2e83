"""Bad keys, values and sizes end in one line that names them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from data.module import TokenDataModule

Make = Callable[..., TokenDataModule]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"corpus": "imdb"}, r"data\.corpus='imdb': choose from hub, markov"),
        ({"speed": 1}, r"data\.speed: corpus 'text' has no such key; .*'valid_fraction'"),
        ({"packing": "cut"}, r"data\.packing='cut': choose from pad, wrap"),
        ({"crop": "end"}, r"data\.crop='end': choose from random, start"),
        ({"framing": "eos"}, r"data\.framing='eos': choose from"),
        ({"length": 1}, r"model\.length=1: at least 2"),
        ({"batch_size": 3}, r"loader\.global_batch_size=8: .*loader\.batch_size=3"),
        ({"eval_batch_size": 0}, r"loader\.eval_batch_size=0: must be at least 1"),
        ({"num_workers": -1}, r"loader\.num_workers=-1: must be at least 0"),
        ({"num_proc": 0}, r"data\.num_proc=0: must be at least 1"),
        ({"max_eval_blocks": 0}, r"data\.max_eval_blocks=0: must be at least 1"),
        ({"tokenizer_name_or_path": None}, r"data\.tokenizer_name_or_path=null"),
    ],
)
def test_bad_keys_are_refused_before_anything_is_read(
    make: Make, changes: dict[str, Any], line: str
) -> None:
    with pytest.raises(ValueError, match=line) as caught:
        make("text", path="absent.txt", **changes)
    assert "\n" not in str(caught.value)


def test_a_markov_language_has_its_own_tokenizer(make: Make) -> None:
    assert make("markov", states=4, tokenizer_name_or_path="symbols:4").tokenizer.bos == 4
    with pytest.raises(ValueError, match=r"needs 'symbols:4' or null"):
        make("markov", states=4, tokenizer_name_or_path="bytes")


def test_devices_that_do_not_divide_are_named(make: Make, text_file: Path) -> None:
    data = make("text", path=str(text_file))
    data.trainer = SimpleNamespace(global_step=0, world_size=3, global_rank=0)
    with pytest.raises(ValueError, match=r"loader\.batch_size=8 times the number of devices, 3"):
        data.train_dataloader()


def test_too_little_text_is_named(make: Make, text_file: Path) -> None:
    for changes in ({"length": 10_000}, {"length": 50_000, "drop_last": True}):
        data = make("text", path=str(text_file), **changes)
        with pytest.raises(ValueError, match=r"data=text: the .* fewer than one block"):
            data.setup("fit")


def test_a_corpus_without_training_text_says_so(make: Make) -> None:
    data = make("lambada", tokenizer_name_or_path="bytes")
    with pytest.raises(ValueError, match=r"data=lambada has no train split"):
        data.train_dataloader()
