"""The settings of an evaluation: the run's where they made it."""

import pytest

from modes.run_settings import OF_THE_START, data_settings, merged
from modes.settings import stored
from tests.algos.configured import SETTINGS
from tests.changed import changed


@pytest.mark.parametrize("given", [set(), {"model.length"}])
def test_merged_how_a_network_is_computed_is_no_property_of_its_run(given: set[str]) -> None:
    mdlm = SETTINGS["mdlm"]
    of_run = {"attention": "flash", "compile": True, "activation_checkpointing": True}
    of_run["loss_kernels"] = True
    assert of_run.keys() == set(OF_THE_START)
    run = stored(changed(mdlm, model=of_run | {"hidden_size": 64, "length": 32}))
    asked = changed(mdlm, model={"attention": "flex", "length": 16})
    found = merged(asked, run, given).model
    assert {key: getattr(found, key) for key in of_run} == {
        "attention": "flex",
        "compile": asked.model.compile,
        "activation_checkpointing": False,
        "loss_kernels": False,
    }
    assert found.hidden_size == 64 and found.length == (16 if given else 32)
    assert run["model"]["attention"] == "flash"


@pytest.mark.parametrize(
    ("trained", "given", "expected"),
    [
        ("none", {"data"}, "none"),
        ("none", {"data", "data.framing"}, "bos"),
        ("bos-eos", {"data"}, "bos"),
        ("bos-eos", set(), "bos-eos"),
    ],
)
def test_data_settings_another_text_gets_no_bos_where_the_run_had_none(
    trained: str, given: set[str], expected: str
) -> None:
    """Samples would begin with a token that the network never saw."""
    asked, run = stored(SETTINGS["mdlm"])["data"], stored(SETTINGS["mdlm"])
    asked |= {"name": "another", "framing": "bos"}
    run["data"]["framing"] = trained
    data = data_settings(asked, run, given)
    assert data["framing"] == expected
    assert data["name"] == ("another" if given else run["data"]["name"])
