"""Names of the Hugging Face Hub, NAME or NAME@REVISION, as folders of its local cache."""

from pathlib import Path

from huggingface_hub import constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from data.tokenizer_files import first_line
from hub.folder_files import has_weights

# Never the Python files beside them; the older format only where there is no other.
DATA = ["*.json", "*.txt", "*.model"]
WEIGHTS = (["*.safetensors"], ["*.bin"])
SECONDS = 10.0  # to wait for the first answer
# The second is the base of all errors of its HTTP library, of which it used three so far.
UNREACHABLE = (OSError, HTTPError)


def hub_folder(name: str) -> Path:
    """The folder of a repository's files, downloaded where the cache has not got its weights.
    ValueError where the name is none, or stands for nothing; OSError where it cannot be reached."""
    repository, _, revision = name.partition("@")
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ValueError(
            "no such file or folder, and not a name of the Hugging Face Hub"
        ) from error
    cached = _cached(repository, revision or None)
    if cached is not None and has_weights(cached):
        return cached
    command = f"hf download {repository}" + (f" --revision {revision}" if revision else "")
    missing = (
        f"no such file or folder, and its weights are not in the cache {constants.HF_HUB_CACHE} of "
        f"the Hugging Face Hub"
    )
    if constants.HF_HUB_OFFLINE:
        raise OSError(f"{missing}; HF_HUB_OFFLINE is set: download it first with `{command}`")
    try:
        for weights in WEIGHTS:
            folder = Path(
                snapshot_download(
                    repository,
                    revision=revision or None,
                    allow_patterns=[*DATA, *weights],
                    etag_timeout=SECONDS,
                )
            )
            if has_weights(folder):
                break
    except GatedRepoError as error:
        raise ValueError(
            "its authors grant access at the Hub: ask there, then `hf auth login`"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise ValueError(
            "no such file or folder, and no such model or revision on the Hub"
        ) from error
    except (LocalEntryNotFoundError, *UNREACHABLE) as error:
        raise OSError(
            f"{missing}, which cannot be reached ({first_line(error)}); `{command}` first"
        ) from error
    return folder


def config_folder(name: str) -> Path | None:
    """The folder of the cache with the config.json of a repository, which is downloaded where it is
    not there; None where there is none to be had."""
    repository, _, revision = name.partition("@")
    try:
        file = hf_hub_download(
            repository, "config.json", revision=revision or None, etag_timeout=SECONDS
        )
    except (HFValidationError, *UNREACHABLE):
        return None
    return Path(file).parent


def _cached(repository: str, revision: str | None) -> Path | None:
    try:
        return Path(snapshot_download(repository, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
