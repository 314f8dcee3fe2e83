"""The audit through the real entry point, and its marks."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from backbones.settings import Model
from modes.audit import generators
from modes.audit.generators import REAL
from modes.audit.run import not_penalised, table
from modes.held_out import HeldOut
from modes.settings import Settings
from tests.modes.conftest import Command


def numbers(**values: tuple[float, float]) -> dict[str, float]:
    found = {name: value for name, (value, _) in values.items()}
    return found | {f"{name}_stderr": error for name, (_, error) in values.items()}


def test_audit_not_penalised_where_a_generator_is_not_surely_worse_than_real_text() -> None:
    real = numbers(entropy=(5.0, 0.1), gen_ppl=(20.0, 1.0), divergence=(0.0, 0.01))
    made = numbers(entropy=(4.8, 0.1), gen_ppl=(12.0, 1.0), divergence=(0.3, 0.01))
    assert not_penalised(made, real) == ["entropy", "gen_ppl"]
    worse = numbers(entropy=(4.7, 0.1), gen_ppl=(23.0, 1.0), divergence=(0.02, 0.01))
    assert not_penalised(worse, real) == ["divergence"]
    headers, rows = table({REAL: real, "made": made, "twin": real})
    assert headers == ["generator", "entropy", "gen_ppl", "divergence", "penalised"]
    assert rows[1] == ["made", "4.80 ± 0.10*", "12.0 ± 1.0*", "0.300 ± 0.010 ", "yes"]
    assert rows[0][-1] == "" and rows[2][-1] == "no"


def test_audit_of_a_corpus_with_a_scorer_and_a_run(command: Command, tmp_path: Path) -> None:
    done = command("algo=ar", "trainer.max_steps=6", f"checkpointing.save_dir={tmp_path}/ar")
    assert done.returncode == 0, done.stderr
    line = ["mode=audit", "loader.eval_batch_size=48", "data.max_eval_blocks=null"]
    scorer = f"eval.gen_ppl_eval_model_name_or_path={tmp_path}/ar"
    done = command(*line, scorer, f"eval.checkpoint_path={tmp_path}/ar")
    assert done.returncode == 0, done.stderr
    for name in (REAL, "trigram chain", "one text repeated", "run, temperature 0.5"):
        assert f"\n{name} " in done.stdout
    assert " no\n" not in done.stdout
    records = [json.loads(file.read_text()) for file in (tmp_path / "results").glob("*.json")]
    assert len(records) == 11
    assert {one["metric"] for one in records} == {"audit"}
    (unigram,) = [one for one in records if one["algo"] == "unigram chain"]
    assert "divergence" not in unigram["metrics"]["not_penalised"]
    assert "gen_ppl_ci" in unigram["metrics"]


def test_audit_too_little_held_out_text_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(generators, "held_out", lambda data: HeldOut([[1, 2]] * 31, "digest"))
    settings = Settings(model=Model(length=2))
    with pytest.raises(ValueError, match=r"mode=audit: 15 texts of model\.length=2 in each half"):
        generators.split(settings, settings, SimpleNamespace(name="some"))
