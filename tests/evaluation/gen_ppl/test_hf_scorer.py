"""Which scorers are taken, and what is said of those that are not."""

from pathlib import Path

import pytest
import torch

from data.tokenizers import make_tokenizer
from evaluation.settings import Eval
from modes.scorer import KEY, open_scorer
from modes.settings import Settings
from tests.evaluation.gen_ppl.tiny_scorer import save_bidirectional, save_scorer, save_tokenizer


def opened(path: Path | str, protocol: str = "default"):
    named = {"gen_ppl_eval_model_name_or_path": str(path), "quality_protocol": protocol}
    return open_scorer(Settings(eval=Eval(**named)), make_tokenizer("bytes"))


def test_hf_scorer_a_hugging_face_folder_scores_as_the_model_itself(tmp_path: Path) -> None:
    network = save_scorer(tmp_path, window=32)
    scorer = opened(tmp_path)
    assert scorer.window == 32 and scorer.bos == scorer.eos == 260
    assert scorer.provenance["algo"] == "GPT2LMHeadModel"
    ids = torch.randint(260, (3, 20), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        log_p = network(ids).logits[:, :-1].log_softmax(-1)
        expected = -log_p.gather(-1, ids[:, 1:, None]).squeeze(-1)
        assert torch.allclose(scorer.nats(ids), expected, atol=1e-5)
        assert scorer.hidden(ids).shape == (3, 20, 16)
    assert scorer.encode("then <|endoftext|>", False)[-1] == 260
    assert scorer.digest is None, "other tokens than those of the samples"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "neither a run"),
        (lambda folder: (folder / "config.json").write_text("{}"), "the folder has no tokenizer"),
        (save_bidirectional, "not autoregressive"),
        (
            lambda folder: (save_tokenizer(folder), (folder / "config.json").write_text("{}")),
            "cannot be loaded",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_hf_scorer_a_folder_that_cannot_score_is_refused_in_one_line(
    tmp_path, make, message
) -> None:
    make(tmp_path)
    with pytest.raises(ValueError, match=message) as refused:
        opened(tmp_path)
    assert str(refused.value).startswith(f"{KEY}={tmp_path}") and "\n" not in str(refused.value)


def test_hf_scorer_a_name_that_is_nowhere_is_refused_in_one_line(monkeypatch, tmp_path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match="HF_HUB_OFFLINE is set") as refused:
        opened("no-such-model-anywhere")
    assert str(refused.value).startswith(f"{KEY}=no-such-model-anywhere: ")
    assert "\n" not in str(refused.value)


def test_hf_scorer_missing_weights_are_no_scorer(tmp_path: Path) -> None:
    network = save_scorer(tmp_path)
    weights = network.state_dict()
    weights.pop("transformer.ln_f.weight")
    network.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(ValueError, match="1 of its weights are missing"):
        opened(tmp_path)


def test_hf_scorer_a_protocol_of_ids_needs_the_tokenizer_of_the_samples(tmp_path: Path) -> None:
    save_scorer(tmp_path)
    with pytest.raises(ValueError, match="it hands tokens to the scorer"):
        opened(tmp_path, "sedd")
