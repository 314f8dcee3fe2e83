"""The settings of an evaluation: a part of them is the run's."""

from data.settings import Data, Markov
from modes.settings import Plain, Settings, stored, typed

TAKEN_FROM_RUN = ("algo", "model", "noise", "training")
# How a network is computed is a choice of every start: none of it is a property of the weights.
OF_THE_START = ("attention", "compile", "activation_checkpointing", "loss_kernels")
# The rest of the configuration in a record is the run's.
SET_BY_EVALUATION = ("mode", "eval", "protocol", "sampling", "oracle", "results_dir")


def merged(settings: Settings, run: Plain, given: set[str]) -> Settings:
    """The settings of an evaluation: those that made the run are stored, in `run`, the text too
    unless the command line names one, single keys are as given."""
    asked = stored(settings)
    model = run["model"] | {key: asked["model"][key] for key in OF_THE_START}
    if "model.length" in given:
        length, trained = settings.model.length, run["model"]["length"]
        if length > trained:
            raise ValueError(
                f"model.length={length}: the run was trained with {trained}, at most that"
            )
        model |= {"length": length}
    of_run = {key: run[key] for key in TAKEN_FROM_RUN}
    data = data_settings(asked["data"], run, given)
    return typed(asked | of_run | {"model": model, "data": data})


def data_settings(asked: Plain, run: Plain, given: set[str]) -> Plain:
    """The text of the run, or the one that data=... names, with single data keys as given; always
    the run's tokenizer, and no BOS where the network was trained without one."""
    data = dict(asked if "data" in given else run["data"])
    if run["data"]["framing"] == "none":
        data["framing"] = "none"
    for key in given:
        group, _, name = key.partition(".")
        if group == "data" and name:
            data[name] = asked.get(name)
    if "data.tokenizer_name_or_path" not in given:
        data["tokenizer_name_or_path"] = tokenizer_name(typed(run).data)
    return data


def tokenizer_name(data: Data) -> str:
    """The tokenizer of a run by its settings; a language of symbols has its own."""
    if isinstance(data, Markov):
        return data.tokenizer_name_or_path or f"symbols:{data.states}"
    return str(data.tokenizer_name_or_path)
