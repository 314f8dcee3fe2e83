"""The checks of mode=oracle before anything is loaded; only the standard library."""

from algos.settings import Algo
from data.settings import Markov
from modes.settings import Settings
from samplers.check import usable
from samplers.facts import FACTS as SAMPLERS


def check_oracle(settings: Settings) -> None:
    """ValueError naming the key, the value and what is allowed."""
    data, algos = settings.data, settings.oracle.algos
    if not isinstance(data, Markov):
        raise ValueError(
            f"data={data.name}: mode=oracle needs a language whose law is known, data=markov"
        )
    if data.framing != "bos" or data.insert_eos:
        raise ValueError(
            f"data.framing={data.framing}, data.insert_eos={data.insert_eos}: mode=oracle "
            f"knows texts of BOS and symbols, data.framing=bos and data.insert_eos=false"
        )
    if settings.eval.checkpoint_path and algos:
        raise ValueError(f"oracle.algos={algos}: the run of eval.checkpoint_path has its own")


def check_samplers(algos: list[Algo], wanted: list[str] | None) -> None:
    """ValueError for a sampler of oracle.samplers that none of `algos` can use."""
    usable = {name for algo in algos for name in samplers_of(algo, None)}
    for name in wanted or []:
        if name not in usable:
            raise ValueError(
                f"oracle.samplers={name}: the algorithms here can use {', '.join(sorted(usable))}"
            )


def samplers_of(algo: Algo, wanted: list[str] | None) -> list[str]:
    """The `wanted` samplers that `algo` can use for texts as long as the network."""
    return [
        name
        for name in usable(algo)
        if not SAMPLERS[name].longer_than_network and (wanted is None or name in wanted)
    ]
