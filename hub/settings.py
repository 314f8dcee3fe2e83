"""The keys of `export`; only the standard library."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from schema.fields import field

REPOSITORY = r"[\w-][\w.-]*/[\w-][\w.-]*"


def _repository(value: Any) -> str | None:
    known = value is None or (isinstance(value, str) and re.fullmatch(REPOSITORY, value))
    return None if known else "must be null, or a name of the Hugging Face Hub: USER/NAME"


@dataclass(frozen=True)
class Export:
    path: str | None = field(
        None, "of mode=export: the folder of the Hugging Face model", written="path"
    )
    layout: Literal["published", "suite"] = field(
        "suite", "published: names and configuration of the authors' own code"
    )
    push_to: str | None = field(
        None, "USER/NAME: upload the folder to the Hugging Face Hub too", rule=_repository
    )
