"""The settings of an evaluation: a part of them is the run's."""

from data.settings import Data, Markov
from modes.settings import Plain, typed

TAKEN_FROM_RUN = ("algo", "model", "noise", "training")
# How a network is computed is a choice of every start: none of it is a property of the weights.
OF_THE_START = ("attention", "compile", "activation_checkpointing", "loss_kernels")
# The rest of the configuration in a record is the run's.
SET_BY_EVALUATION = ("mode", "eval", "protocol", "sampling", "oracle", "results_dir")


def merged(settings: Plain, stored: Plain, given: set[str]) -> Plain:
    """The settings of an evaluation: those that made the run are `stored`, the text too unless the
    command line names one, single keys are as given."""
    result = settings | {key: stored[key] for key in TAKEN_FROM_RUN}
    result["model"] = stored["model"] | {key: settings["model"][key] for key in OF_THE_START}
    if "model.length" in given:
        asked, trained = typed(settings).model.length, typed(stored).model.length
        if asked > trained:
            raise ValueError(
                f"model.length={asked}: the run was trained with {trained}, at most that"
            )
        result["model"] |= {"length": asked}
    return result | {"data": data_settings(settings, stored, given)}


def data_settings(settings: Plain, stored: Plain, given: set[str]) -> Plain:
    """The text of the run, or the one that data=... names, with single data keys as given; always
    the run's tokenizer, and no BOS where the network was trained without one."""
    data = dict(settings["data"] if "data" in given else stored["data"])
    if stored["data"]["framing"] == "none":
        data["framing"] = "none"
    for key in given:
        group, _, name = key.partition(".")
        if group == "data" and name:
            data[name] = settings["data"].get(name)
    if "data.tokenizer_name_or_path" not in given:
        data["tokenizer_name_or_path"] = tokenizer_name(typed(stored).data)
    return data


def tokenizer_name(data: Data) -> str:
    """The tokenizer of a run by its settings; a language of symbols has its own."""
    if isinstance(data, Markov):
        return data.tokenizer_name_or_path or f"symbols:{data.states}"
    return str(data.tokenizer_name_or_path)
