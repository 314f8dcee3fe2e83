"""A model as a folder for the Hugging Face Hub: weights, configuration, tokenizer, card, and the
one file of code that transformers loads it by."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from algos.facts import facts_of
from data.tokenizer_files import first_line
from data.tokenizers import Tokenizer
from hub.export_folder import replacing_export
from hub.export_published import published_layout
from hub.export_tokenizer import write_tokenizer
from hub.exported import KIND
from hub.published import SIZES
from storage import save_tensors

CODE = "modeling_discrete_diffusion"


@dataclass(frozen=True)
class Exported:
    """The model of a checkpoint: the run's configuration, weights by the names of the algorithm, N
    states without the mask, the tokenizer; `trained` and `card` say what is known of it."""

    config: dict[str, Any]
    weights: dict[str, Tensor]
    vocab_size: int
    tokenizer: Tokenizer
    trained: dict[str, Any]
    card: str


def export_model(folder: Path, model: Exported, layout: str, key: str = "export.path") -> None:
    """Writes the folder, whole or not at all. ValueError that begins with `key` where something
    else is there, and where `layout` has no place for the algorithm."""
    with replacing_export(folder, key) as new:
        if layout == "published":
            has_mask = not _facts(model).uniform
            config, weights, swapped = published_layout(
                model.config, model.weights, model.vocab_size, model.tokenizer
            )
        elif _facts(model).blocks:
            raise ValueError(
                f"export.layout={layout}: its file of code knows no block diffusion; "
                "export.layout=published has it"
            )
        else:
            config, weights, swapped, has_mask = config_of(model), model.weights, True, True
            shutil.copyfile(Path(__file__).with_name(f"{CODE}.py"), new / f"{CODE}.py")
        whole = {name: tensor.contiguous() for name, tensor in weights.items()}
        save_tensors(new / "model.safetensors", whole, {"format": "pt"})
        (new / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        length = model.config["model"]["length"]
        write_tokenizer(new, model.tokenizer, model.vocab_size, length, has_mask, swapped)
        (new / "README.md").write_text(model.card, encoding="utf-8")


def config_of(model: Exported) -> dict[str, Any]:
    """The configuration of the modelling file's classes."""
    network, data, facts = model.config["model"], model.config["data"], _facts(model)
    name = "AutoregressiveLM" if facts.causal else "DiffusionLM"
    head = "AutoModelForCausalLM" if facts.causal else "AutoModelForMaskedLM"
    kind = "AutoregressiveConfig" if facts.causal else "DiscreteDiffusionConfig"
    auto = {"AutoConfig": kind, "AutoModel": name, head: name}
    tokenizer = model.tokenizer
    return {
        "model_type": KIND,
        "architectures": [name],
        "auto_map": {key: f"{CODE}.{value}" for key, value in auto.items()},
        "dtype": "float32",
        "algo": model.config["algo"],
        "noise": model.config["noise"] if facts.noise_schedules else None,
        "vocab_size": model.vocab_size + 1,
        "outputs": model.vocab_size + facts.outputs_mask,
        **{key: network[key] for key in SIZES},
        "bos_token_id": tokenizer.bos,
        "eos_token_id": tokenizer.eos,
        "pad_token_id": tokenizer.pad,
        "framing": data["framing"],
        "trained": model.trained,
    }


def _facts(model: Exported) -> Any:
    return facts_of(model.config["algo"]["name"])


def upload(folder: Path, name: str) -> str:
    """Uploads the folder to the repository USER/NAME of the Hub, which is made where there is none;
    its address. OSError in one line where that fails."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import LocalTokenNotFoundError

    from hub.cache import UNREACHABLE

    api = HfApi()
    try:
        address = api.create_repo(name, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder)
    except (*UNREACHABLE, LocalTokenNotFoundError) as error:
        raise OSError(f"export.push_to={name}: not uploaded: {first_line(error)}") from error
    return str(address)
