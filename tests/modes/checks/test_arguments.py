"""Texts of the command line, as they were typed."""

from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from modes.checks.arguments import verbatim

TEXTS = [
    "The [...] sat on [...]",
    "Once upon a time, there",
    'say "hi", {a: b}',
    "it's 'odd'",
    "${oc.env:HOME} \\${x} \\\\${y}",
    r"back\slash \" end\\",
    "a=b\n\ttab ~ + null",
    '"a" and "b"',
    "12",
    "",
]


def test_verbatim_texts_are_read_as_they_were_typed() -> None:
    ConfigStore.instance().store(name="texts", node={"sampling": {"prompt": None, "infill": None}})
    folder = str(Path(__file__).parent)
    with hydra.initialize_config_dir(folder, version_base="1.3"):
        for text in TEXTS:
            typed = [f"sampling.{key}={text}" for key in ("prompt", "infill")]
            config = hydra.compose("texts", overrides=verbatim(typed))
            read = OmegaConf.to_container(config, resolve=True)
            assert read == {"sampling": {"prompt": text, "infill": text}}
            assert verbatim(verbatim(typed)) == verbatim(typed)


def test_verbatim_leaves_other_values_as_they_were_typed() -> None:
    typed = [
        "sampling.prompt=null",
        'sampling.infill="a [...]"',
        "++sampling.prompt='it\\'s, so'",
        "sampling.sweep={steps:[1,2]}",
        "--help",
    ]
    assert verbatim(typed) == typed
    assert verbatim(["+sampling.prompt=a, b"]) == ['+sampling.prompt="a, b"']
