"""Scorers whose files are damaged, foreign or hostile: one line that names the folder, no code."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from data.tokenizers import make_tokenizer
from evaluation.settings import Eval
from modes.scorer import KEY, open_scorer
from modes.settings import Settings
from tests.evaluation.gen_ppl.tiny_scorer import save_scorer

Damage = Callable[[Path], object]
LAYER = "transformer.h.1.ln_1.weight"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    save_scorer(folder)
    return folder


def opened(folder: Path) -> Any:
    named = {"gen_ppl_eval_model_name_or_path": str(folder), "quality_protocol": "default"}
    return open_scorer(Settings(eval=Eval(**named)), make_tokenizer("bytes"))


def config(**changes: Any) -> Damage:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def put(name: str, content: bytes | str) -> Damage:
    """The file instead of what was there; a .bin instead of the safetensors."""

    def change(folder: Path) -> None:
        if name.endswith((".bin", ".index.json")):
            (folder / "model.safetensors").unlink()
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)

    return change


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Damage:
    def damage(folder: Path) -> None:
        file = folder / "model.safetensors"
        held = load_file(file)
        change(held)
        save_file(held, file, metadata={"format": "pt"})

    return damage


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def few_tokens(folder: Path) -> None:
    weights(lambda held: held.update({"transformer.wte.weight": torch.ones(200, 16)}))(folder)
    config(vocab_size=200)(folder)


LLAMA = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}
DAMAGES: dict[str, tuple[Damage, str]] = {
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "no file named"),
    "cut weights": (cut, "SafetensorError"),
    "weights that are text": (put("model.safetensors", "version https://git-lfs"), "SafetensorErr"),
    "an empty bin": (put("pytorch_model.bin", b""), "EOFError"),
    "a bin of text": (put("pytorch_model.bin", "hello"), "it cannot be loaded"),
    "a bin like a zip": (put("pytorch_model.bin", b"PK\x03\x04" + 99 * b"x"), "RuntimeError"),
    "an index of nothing": (put("model.safetensors.index.json", '{"weight_map": {}}'), "KeyError"),
    "other sizes": (config(n_embd=32), "16 of its weights have other sizes than its config.json"),
    "another vocabulary": (config(vocab_size=300), r"wte.weight \(261, 16\) for \(300, 16\)"),
    "fewer tokens": (few_tokens, "its tokenizer has 261 tokens, its network knows 200"),
    "more layers": (config(n_layer=2), "12 of its weights are missing, transformer.h.1"),
    "fewer layers": (
        weights(lambda held: held.update({LAYER: torch.ones(16)})),
        f"more layers than its config.json says, {LAYER}",
    ),
    "another kind": (config(model_type="llama", **LLAMA), "12 of its weights are missing"),
    "no kind": (config(model_type="nothing"), "model type `nothing`"),
    "not finite": (
        weights(lambda held: held["transformer.ln_f.weight"].fill_(float("nan"))),
        "not finite",
    ),
    "a wrong type": (config(n_embd="x"), "StrictDataclass"),
    "no heads": (config(n_head=0), "ZeroDivisionError"),
    "an unknown function": (config(activation_function="os.system"), "KeyError"),
    "a negative size": (config(n_positions=-5), "RuntimeError"),
    "an unknown dtype": (config(dtype="evil"), "AttributeError"),
    "quantized": (config(quantization_config={"quant_method": "x"}), "its weights are quantized"),
    "an adapter": (put("adapter_config.json", "{}"), "an adapter; save the model"),
    "a list of settings": (put("config.json", "[]"), "TypeError"),
    "half a config": (put("config.json", "{"), "not a valid JSON"),
    "a binary config": (put("config.json", b"\xff\xfe\x00"), "not a valid JSON"),
    "an empty tokenizer": (put("tokenizer.json", ""), "its tokenizer cannot be read"),
    "another tokenizer": (put("tokenizer.json", '{"a": 1}'), "its tokenizer cannot be read"),
    "a list of tokens": (put("tokenizer.json", "[]"), "its tokenizer cannot be read"),
    "tokenizer settings": (put("tokenizer_config.json", "[1]"), "its tokenizer cannot be read"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_hf_scorer_damaged_and_foreign_scorers_are_refused_in_one_line(
    name: str, good: Path, tmp_path: Path
) -> None:
    damage, said = DAMAGES[name]
    folder = Path(shutil.copytree(good, tmp_path / "scorer"))
    damage(folder)
    with pytest.raises(ValueError, match=said) as refused:
        opened(folder)
    assert str(refused.value).startswith(f"{KEY}={folder}: ") and "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


def test_hf_scorer_a_model_kind_of_the_tokenizer_library_is_one_line(
    good: Path, tmp_path: Path
) -> None:
    """The library raises plain Exception."""
    folder = Path(shutil.copytree(good, tmp_path / "scorer"))
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace('"BPE"', '"XYZ"'))
    with pytest.raises(ValueError, match="its tokenizer cannot be read: data did not"):
        opened(folder)


def test_hf_scorer_that_cannot_be_downloaded_is_named_by_its_own_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError) as refused:
        opened(Path("some-scorer"))
    absent = "its tokenizer cannot be read: not in the Hub's cache, and HF_HUB_OFFLINE is set"
    assert str(refused.value) == f"{KEY}=some-scorer: {absent}"


class Touch:
    def __init__(self, file: Path):
        self.file = file

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.file}",)


@pytest.mark.parametrize(
    "dump", [torch.save, lambda one, file: file.write_bytes(pickle.dumps(one, 2))]
)
def test_hf_scorer_no_pickle_is_run(
    dump: Callable[..., object], good: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(good, tmp_path / "scorer"))
    (folder / "model.safetensors").unlink()
    dump({"a": Touch(tmp_path / "EXECUTED")}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="its files hold more than weights"):
        opened(folder)
    assert not (tmp_path / "EXECUTED").exists()


def test_hf_scorer_weights_of_an_older_bin_are_read(good: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(good, tmp_path / "scorer"))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    ids = torch.arange(8).unsqueeze(0)
    assert torch.equal(opened(folder).nats(ids), opened(good).nats(ids))


AUTO = {"AutoModelForCausalLM": "evil.M", "AutoConfig": "evil.M", "AutoTokenizer": ["evil.M", None]}


@pytest.mark.parametrize(
    "changes",
    [
        {"auto_map": AUTO},
        {"_attn_implementation": "evil/kernel"},
        {"attn_implementation": "kernels-community/flash-attn"},
        {"_attn_implementation": "flash_attention_2"},
    ],
)
def test_hf_scorer_what_a_config_names_beside_a_known_model_is_not_followed(
    changes: dict[str, Any], good: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(good, tmp_path / "scorer"))
    (folder / "evil.py").write_text(
        f"import pathlib\npathlib.Path('{tmp_path}/EXECUTED').touch()\nclass M: pass\n"
    )
    config(**changes)(folder)
    ids = torch.arange(8).unsqueeze(0)
    assert torch.equal(opened(folder).nats(ids), opened(good).nats(ids))
    assert not (tmp_path / "EXECUTED").exists()


def test_hf_scorer_code_of_an_unknown_model_is_neither_run_nor_asked_about(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = Path(shutil.copytree(good, tmp_path / "scorer"))
    (folder / "evil.py").write_text(f"import pathlib\npathlib.Path('{tmp_path}/EXECUTED').touch()")
    config(auto_map=AUTO, model_type="evil")(folder)
    with pytest.raises(ValueError, match="custom code"):
        opened(folder)
    assert not (tmp_path / "EXECUTED").exists()
    assert "[y/N]" not in capsys.readouterr().out
