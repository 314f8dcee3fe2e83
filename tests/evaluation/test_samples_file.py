"""The file of samples, written and read."""

import json
from pathlib import Path

import pytest

from data.tokenizers import make_tokenizer
from evaluation.samples_file import Correction, Text, read, write_samples


def test_read_returns_what_write_samples_wrote(tmp_path: Path) -> None:
    tokenizer = make_tokenizer("bytes")
    texts = [Text([256, 97]), Text([256, 98], Correction([256, 99], 0.5, 1.0, 2))]
    file = write_samples(tmp_path, "psi-8", {"steps": 8}, texts, [None, "gap"], tokenizer)
    samples = read(file.read_bytes())
    assert samples.tokenizer == tokenizer.digest
    assert samples.rows[0] == {"text": "a", "tokens": [256, 97]}
    assert samples.rows[1] == {
        "text": "b",
        "tokens": [256, 98],
        "task": "gap",
        "uncorrected": {"text": "c", "tokens": [256, 99]},
        "self_accuracy": [0.5, 1.0],
        "correction_steps": 2,
    }


@pytest.mark.parametrize("content", [b"", b"[" * 200_000, b"\xff", b'{"samples": ['])
def test_read_refuses_what_is_not_json(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not JSON"):
        read(content)


@pytest.mark.parametrize("value", [3, [], {}, {"samples": {}}])
def test_read_refuses_other_files(value: object) -> None:
    with pytest.raises(ValueError, match=r"^not a file of samples"):
        read(json.dumps(value).encode())
