"""The settings of an evaluation: the run's where they made it."""

import pytest

from modes.run_settings import OF_THE_START, merged
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
