"""Named protocols: what each says, what wins over what, and the digest that tells numbers apart."""

from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import initialize_config_dir

import main
from evaluation.record_schema import digest
from modes import build, protocol
from modes.checks.combinations import check
from modes.checks.keys import keys_of
from modes.run_settings import merged
from modes.settings import Settings, stored
from modes.trained_run import TrainedRun

CONFIGS = Path(main.__file__).parent / "configs"
PRESETS = sorted(file.stem for file in (CONFIGS / "protocol").glob("*.yaml"))
LENGTH = 24
EVALUATION = ("mode=ppl_eval", "eval.checkpoint_path=x")
# The facts of the papers and their code: packing, framing, EOS between documents, length, times,
# mean.
PUBLISHED = {
    "mdlm-owt-1024": ("wrap", "bos-eos", True, 1024, [0.001, 1.0], None),
    "duo-owt-1024": ("wrap", "bos-eos", True, 1024, [0.001, 1.0], None),
    "bd3lm-owt-1024": ("wrap", "bos", True, 1024, [0.001, 1.0], None),
    "mdlm-lm1b": ("pad", "bos-eos", False, 128, [0.001, 1.0], None),
    "duo-lm1b": ("pad", "bos-eos", False, 128, [0.001, 1.0], None),
    "duo-lm1b-wrap": ("wrap", "bos-eos", True, 128, [0.001, 1.0], None),
    "text8-256": ("wrap", "bos-eos", False, 256, [0.001, 1.0], None),
    "sedd-owt-1024": ("wrap", "none", True, 1024, [0.001, 1.0], None),
    "gidd-owt-512": ("pad", "bos-eos", False, 512, [0.0001, 0.9999], 32),
    "zero-shot": ("wrap", "bos-eos", False, None, [0.001, 1.0], None),
}
# What changes a number, each another digest; and what must not.
MATTERS = [
    "data.packing=pad",
    "data.framing=bos-eos",
    "data.insert_eos=false",
    "data.drop_last=true",
    "data.max_eval_blocks=3",
    "data.valid_fraction=0.2",
    "data.tokenizer_name_or_path=text8",
    "data.packing=pad data.crop=start",
    "model.length=16",
    "eval.stride=8",
    "eval.times=[0.001,1]",
    "eval.times=[0.002,1]",
    "eval.times=[0.001,0.9]",
    "eval.batch_mean=2",
    "eval.batch_mean=3",
    "eval.passes=5",
    "eval.disable_ema=true",
    "trainer.precision=bf16-mixed",
]
NO_MATTER = [
    "loader.eval_batch_size=3",
    "loader.global_batch_size=2",
    "loader.num_workers=1",
    "trainer.accelerator=auto",
    "trainer.devices=1",
    "trainer.precision=32-true",
    "strategy=ddp",
    "eval.passes=4",
    f"eval.stride={LENGTH}",
    "data.name=other",
    "data.num_proc=2",
    "data.crop=start",
    "results_dir=elsewhere",
]


@cache
def compose(*overrides: str) -> Settings:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        settings = main.compose(list(overrides))
    check(settings, main.keys_of(list(overrides)))
    return settings


def evaluation(tmp_path: Path, *more: str, algo: str = "mdlm", length: int = LENGTH) -> TrainedRun:
    """A run of `algo` on words of a file, with the settings that evaluate it."""
    file = tmp_path / "words.txt"
    if not file.exists():
        file.write_text(" ".join("a word of letters"[: 3 + i % 14] for i in range(120)))
    places = [f"data.path={file}", "data.valid_split=tail", f"data.cache_dir={tmp_path}/cache"]
    of_run = stored(compose("data=text", f"algo={algo}", f"model.length={length}", *places))
    overrides = [*EVALUATION, "trainer.accelerator=cpu"]
    # Single keys of the run's own text are to be composed with it.
    overrides += ["data=text", *places, *more]
    settings, given = compose(*overrides), keys_of(overrides)
    own = protocol.applied(merged(settings, of_run, given), settings.protocol, given)
    return TrainedRun({"config": of_run, "ema": {}}, file, "", own, vocab_size=9)


def said(run: TrainedRun) -> dict[str, Any]:
    precision = run.settings.trainer.precision or "32-true"
    data = build.data(run.settings, devices=1, stride=run.settings.eval.stride)
    return protocol.fields(run, data, SimpleNamespace(precision=precision))  # type: ignore[arg-type]


def test_protocol_every_file_is_named() -> None:
    assert set(PRESETS) == set(PUBLISHED) | {"default"}
    assert all(compose(*EVALUATION, f"protocol={name}").protocol.name == name for name in PRESETS)


@pytest.mark.parametrize("name", PUBLISHED)
def test_protocol_a_preset_says_what_was_published(tmp_path: Path, name: str) -> None:
    packing, framing, insert_eos, length, times, batch = PUBLISHED[name]
    own = evaluation(tmp_path, f"protocol={name}", length=2048).settings
    data, chosen = own.data, own.eval
    assert (data.packing, data.framing, data.insert_eos) == (packing, framing, insert_eos)
    assert own.model.length == (length or 2048)
    assert (chosen.times, chosen.batch_mean, chosen.stride) == (times, batch, None)
    assert chosen.passes == (1000 if name.startswith("sedd") else 1)
    assert own.trainer.precision == "bf16-mixed"
    assert data.valid_split == "tail"  # that of a file is its own


@pytest.mark.parametrize(
    ("name", "data", "split"),
    [
        ("duo-lm1b", "lm1b", "test"),
        ("text8-256", "text8", "test"),
        ("mdlm-owt-1024", "openwebtext", "train[-100000:]"),
        ("zero-shot", "lambada", "test"),
        ("zero-shot", "wikitext103", "test"),
    ],
)
def test_protocol_the_split_of_a_published_corpus(
    tmp_path: Path, name: str, data: str, split: str
) -> None:
    of_run = stored(compose("data=text", "model.length=2048", "data.path=x"))
    overrides = [*EVALUATION, f"protocol={name}", f"data={data}"]
    settings, given = compose(*overrides), keys_of(overrides)
    own = protocol.applied(merged(settings, of_run, given), settings.protocol, given)
    assert own.data.valid_split == split
    assert own.data.tokenizer_name_or_path == "bytes"  # the run's
    overrides.append("data.valid_split=validation")
    settings, given = compose(*overrides), keys_of(overrides)
    own = protocol.applied(merged(settings, of_run, given), settings.protocol, given)
    assert own.data.valid_split == "validation"


def test_protocol_single_keys_win_over_a_preset(tmp_path: Path) -> None:
    given = ["data.packing=wrap", "eval.passes=7", "eval.times=null", "trainer.precision=32-true"]
    own = evaluation(tmp_path, "protocol=duo-lm1b", "model.length=16", *given).settings
    assert (own.data.packing, own.data.framing) == ("wrap", "bos-eos")
    assert (own.eval.passes, own.eval.times) == (7, None)
    assert (own.trainer.precision, own.model.length) == ("32-true", 16)


def test_protocol_a_record_says_what_of_its_named_protocol_was_changed(tmp_path: Path) -> None:
    free = ["eval.passes=7", "trainer.precision=32-true"]
    for name, length in (("duo-lm1b", 2048), ("zero-shot", LENGTH)):
        own = evaluation(tmp_path, f"protocol={name}", *free, length=length)
        assert "changed" not in said(own), name
    given = ["data.max_eval_blocks=2", "model.length=16", "eval.disable_ema=true"]
    fields = said(evaluation(tmp_path, "protocol=duo-lm1b", *given, *free, length=2048))
    assert fields["changed"] == ["data.max_eval_blocks", "eval.disable_ema", "model.length"]


def test_protocol_another_split_is_a_change(tmp_path: Path) -> None:
    of_run = stored(compose("data=text", "model.length=2048", "data.path=x"))
    for more, changed in (([], []), (["data.valid_split=train"], ["data.valid_split"])):
        overrides = [*EVALUATION, "protocol=duo-lm1b", "data=lm1b", *more]
        settings, given = compose(*overrides), keys_of(overrides)
        own = merged(settings, of_run, given)
        own = protocol.applied(own, settings.protocol, given)
        assert protocol.changes(own) == changed


def test_protocol_the_default_names_no_default(tmp_path: Path) -> None:
    """It names what every protocol has; what differs from the defaults is named where it does."""
    fields = said(evaluation(tmp_path))
    assert set(fields) == {
        *("split", "corpus_digest", "tokenizer", "tokenizer_digest", "packing", "framing"),
        *("length", "insert_eos", "drop_last", "crop", "blocks", "weights", "times"),
    }
    assert fields["times"] == "(0, 1)"
    assert compose().eval.passes == protocol.PASSES


def test_protocol_what_changes_a_number_changes_the_digest(tmp_path: Path) -> None:
    base = said(evaluation(tmp_path))
    flipped = {more: said(evaluation(tmp_path, *more.split())) for more in MATTERS}
    digests = {more: digest(fields) for more, fields in flipped.items()}
    assert len({digest(base), *digests.values()}) == 1 + len(MATTERS), digests
    for more in NO_MATTER:
        assert said(evaluation(tmp_path, *more.split())) == base, more


def test_protocol_all_algorithms_share_a_protocol(tmp_path: Path) -> None:
    alike = [
        said(evaluation(tmp_path, "protocol=zero-shot", algo=a)) for a in ("ar", "mdlm", "gidd")
    ]
    assert alike[0] == alike[1] == alike[2]
    assert alike[0]["times"] == "uniform in [0.001, 1.0], noise as in training"


@pytest.mark.parametrize(
    ("algo", "more", "message"),
    [
        ("mdlm", "protocol=mdlm-owt-1024", r"protocol=mdlm-owt-1024: its model\.length=1024, the"),
        ("mdlm", "model.length=25", r"model\.length=25: the run was trained with 24"),
        ("ar", "data.framing=none", r"data\.framing=none: algo=ar predicts nothing without a BOS"),
        ("ar", "protocol=sedd-owt-1024 model.length=16", r"data\.framing=none: algo=ar predicts"),
        ("mdlm", "eval.times=[0,1]", r"eval\.times=\[0, 1\]: null, or two times"),
        ("mdlm", "eval.times=[0.5]", r"eval\.times=\[0\.5\]: null, or two times"),
        ("mdlm", "eval.times=[0.9,0.1]", r"eval\.times=\[0\.9, 0\.1\]: null, or two times"),
        ("mdlm", "eval.times=published", r"eval\.times='published': null, or two times"),
    ],
)
def test_protocol_what_cannot_be_is_refused(
    tmp_path: Path, algo: str, more: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluation(tmp_path, *more.split(), algo=algo)


def test_protocol_a_protocol_is_of_evaluation() -> None:
    with pytest.raises(ValueError, match=r"protocol=zero-shot: mode=ppl_eval measures by it, not"):
        compose("mode=train", "protocol=zero-shot")
    assert compose("mode=benchmark", "protocol=zero-shot").protocol.name == "zero-shot"
