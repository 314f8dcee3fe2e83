"""The statistics of finished texts in a record."""

from data.tokenizers import make_tokenizer
from evaluation.samples_file import Correction, Text
from modes.sample_eval.record import corrections, measure


def test_measure_has_the_fields_of_a_record_and_of_self_correction() -> None:
    before = [[256, *range(row, row + 40)] for row in (1, 50)]
    after = [list(row) for row in before]
    after[0][5] += 1
    fixed = [[True] + [False] * 40] * 2
    texts = [
        Text(row, Correction(old, 0.5, 0.75, 3)) for row, old in zip(after, before, strict=True)
    ]
    fields = measure(texts, fixed, None, None, make_tokenizer("bytes"), "default", 1)
    assert set(fields) == {"value", "stderr", "kind", "metrics"}
    assert fields["kind"] == "estimate"
    metrics = fields["metrics"]
    assert metrics["tokens_changed"] == 0.5 and metrics["correction_steps"] == 3
    assert metrics["self_accuracy_after"] == 0.75
    assert metrics["quality_protocol"]["name"] == "default"
    assert corrections([Text(row) for row in after], fixed) == {}
