"""A Hub that cannot be reached is found out at once, and named."""

from typing import Any

import datasets
import pytest
from huggingface_hub import constants

from data.hub_access import hub_or_cache, unreachable
from tests.data.test_hub_corpus import hub


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def test_unreachable_says_why(no_network: None, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = unreachable()
    assert reason is not None and "\n" not in reason
    assert reason.startswith("the Hugging Face Hub cannot be reached: ") and "refused" in reason
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert unreachable() == "HF_HUB_OFFLINE is set"


def test_hub_or_cache_its_libraries_do_not_try_within_the_block(no_network: None) -> None:
    with pytest.raises(KeyError), hub_or_cache() as reason:
        assert reason is not None and constants.is_offline_mode()
        raise KeyError
    assert not constants.is_offline_mode()


def test_hub_corpus_an_unreachable_hub_is_one_line_without_retries(
    no_network: None, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[dict[str, Any]] = []
    load = datasets.load_dataset

    def once(**source: Any) -> Any:
        tried.append(source)
        assert constants.is_offline_mode()
        return load(**source)

    monkeypatch.setattr(datasets, "load_dataset", once)
    with pytest.raises(OSError, match="cannot be reached") as refused:
        list(hub("nobody/nothing").documents("train"))
    line = str(refused.value)
    assert line.startswith("data.path='nobody/nothing' cannot be loaded (the Hugging Face Hub")
    assert "\n" not in line and len(tried) == 1
    assert "Retrying" not in capfd.readouterr().err
