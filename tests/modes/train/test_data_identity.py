"""Text and tokenizer of a run are told apart by their content, whatever their names: when it goes
on and when it is evaluated."""

import json
import os
import shutil
from pathlib import Path

import pytest
from hydra import initialize_config_dir
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import main
from tests.composed import start
from tests.modes.conftest import ROOT, TINY


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Text and tokenizer below relative names, as people have them."""
    monkeypatch.chdir(tmp_path)
    lines = [f"{i} bottles of beer on the wall, take {i % 7} down" for i in range(300)]
    (tmp_path / "c.txt").write_text("\n".join(lines))
    save_tokenizer(tmp_path / "tok", "0123456789")
    return tmp_path


def save_tokenizer(path: Path, digits: str) -> None:
    vocab = {"[UNK]": 0, "[BOS]": 1} | {letter: i for i, letter in enumerate(digits, start=2)}
    own = Tokenizer(models.WordLevel(vocab, unk_token="[UNK]"))
    own.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    names = {"unk_token": "[UNK]", "bos_token": "[BOS]", "eos_token": "[BOS]"}
    PreTrainedTokenizerFast(tokenizer_object=own, **names).save_pretrained(path)


def begin(steps: int, *more: str) -> None:
    places = ["data.valid_split=tail", "data.cache_dir=cache", "checkpointing.save_dir=run"]
    own = ["data.path=c.txt", "algo=ar", f"trainer.max_steps={steps}"]
    start(*TINY, *places, *own, *more)


EVALUATE = ("mode=ppl_eval", "eval.checkpoint_path=run", "trainer.accelerator=cpu")
TEXT = ("data=text", "data.valid_split=tail", "data.cache_dir=cache")
SAMPLE = ("mode=sample_eval", *EVALUATE[1:], "loader.eval_batch_size=2")


def test_data_of_another_content_under_the_same_name(folder: Path) -> None:
    begin(2)
    (folder / "c.txt").write_text("\n".join(f"{i} other words" for i in range(900)))
    with pytest.raises(ValueError, match=r"^checkpointing.save_dir=run: .*another train text"):
        begin(4)
    for mode in (EVALUATE, SAMPLE):
        with pytest.raises(ValueError, match=r"^data=text: not the text that the run .* differs"):
            start(*mode)
    assert not (folder / "results").exists()
    start(*SAMPLE, "eval.reference=false")
    start(*EVALUATE, *TEXT, "data.path=c.txt")  # named, it is another text to evaluate on


def test_data_of_another_content_is_refused_by_a_finished_run_too(folder: Path) -> None:
    begin(2)
    (folder / "d.txt").write_text("\n".join(f"{i} other words" for i in range(900)))
    with pytest.raises(ValueError, match=r"^checkpointing.save_dir=run: .*another train text"):
        begin(2, "data.path=d.txt")
    shutil.copy("c.txt", "e.txt")
    begin(2, "data.path=e.txt")


def test_data_of_the_same_content_under_another_name(folder: Path) -> None:
    begin(2)
    shutil.move("c.txt", "d.txt")
    with pytest.raises(FileNotFoundError, match=r"c.txt.*; it is the text of the run .*data.path"):
        start(*EVALUATE)
    begin(4, "data.path=d.txt")
    config = json.loads((folder / "run" / "config.json").read_text())
    assert config["data"]["path"] == "d.txt"
    start(*EVALUATE)
    start(*EVALUATE, *TEXT, f"data.path={folder}/d.txt")
    start(*EVALUATE, "++data.path=d.txt")


def test_data_keys_of_the_text_of_a_run_apply_to_its_evaluation() -> None:
    """Though the default corpus has none of them; Hydra takes them with `++`."""
    given = ["mode=ppl_eval", "eval.checkpoint_path=run"]
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        settings = main.compose([*given, "data.path='~/d.txt'"])
        assert settings.more_data == {"path": os.path.expanduser("~/d.txt")}  # noqa: PTH111
        with pytest.raises(ValueError, match=r"^data.text_key='': must not be empty"):
            main.compose([*given, "data.text_key=''"])
        for wrong in ([*given, "data.pat=x"], [*given, "data=stdlib", "data.path=x"]):
            with pytest.raises(ValueError, match=r"^data.path?: there is no such key"):
                main.compose(wrong)
        with pytest.raises(ValueError, match=r"^data.path: there is no such key"):
            main.compose(["mode=train", "data.path=x"])


def test_tokenizer_edited_with_the_same_size(folder: Path) -> None:
    tokenizer = "data.tokenizer_name_or_path=tok"
    begin(2, tokenizer)
    shutil.copytree("tok", "moved")
    save_tokenizer(folder / "tok", "0923456781")
    with pytest.raises(ValueError, match=r"^checkpointing.save_dir=run: .*another tokenizer than"):
        begin(4, tokenizer)
    for mode in (EVALUATE, SAMPLE):
        with pytest.raises(ValueError, match=r"^data.tokenizer_name_or_path=tok: .*differs"):
            start(*mode)
    begin(4, "data.tokenizer_name_or_path=moved")
    start(*EVALUATE)


def test_tokenizer_of_another_size_is_no_traceback(folder: Path) -> None:
    begin(2, "data.tokenizer_name_or_path=tok")
    save_tokenizer(folder / "tok", "0123456789a")
    with pytest.raises(ValueError, match=r"another tokenizer than"):
        begin(4, "data.tokenizer_name_or_path=tok")
