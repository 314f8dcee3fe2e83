"""Names of models to evaluate or to begin with: runs of this suite, published files and folders,
names of the Hugging Face Hub; only the standard library."""

import re
from pathlib import Path

PUBLISHED = r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?"
FILES = (".bin", ".ckpt", ".pt", ".pth", ".safetensors")
LAST = Path("checkpoints") / "last.ckpt"
# In a published folder: the Hub's, GIDD's or SEDD's training, or weights alone.
OF_FOLDERS = ("config.json", "config.yaml", "checkpoints-meta", "*.safetensors", "*.bin")


def is_hub_name(name: str) -> bool:
    """Whether it can only be a name of the Hub, OWNER/NAME or OWNER/NAME@REVISION."""
    if not re.fullmatch(PUBLISHED, name) or name.endswith(FILES):
        return False
    return not Path(name).expanduser().exists()


def is_published_folder(folder: Path) -> bool:
    """Whether a folder holds what another program published, and no run of this suite."""
    if (folder / LAST).is_file() or (folder / "logs").is_dir():
        return False
    return any(any(folder.glob(name)) for name in OF_FOLDERS)


def check_source(name: str, key: str) -> None:
    """FileNotFoundError where there is neither a checkpoint nor a published model of that name."""
    path = Path(name).expanduser()
    if is_hub_name(name) or (path.is_dir() and is_published_folder(path)):
        return
    file = path / LAST if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(f"{key}={name}: there is no checkpoint at {file}")
