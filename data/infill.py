"""Texts with given and missing tokens for a sampler: prompts, gaps, files of tasks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from data.given import encode_given
from data.prompts import (
    GIVEN,
    Gap,
    Given,
    check_tasks_early,
    given_keys,
    label,
    parts_of,
    read_lines,
)
from data.tokenizers import Tokenizer


class InfillTask(NamedTuple):
    """A text of which some tokens are given: those where `fixed` is true stay, the others hold the
    mask id and are drawn. `name` is the id of its line in a file of tasks."""

    tokens: list[int]
    fixed: list[bool]
    name: str | int | None = None

    @classmethod
    def after(cls, start: list[int], rest: Sequence[int]) -> "InfillTask":
        """The text `start` + `rest`, of which the start is given."""
        return cls([*start, *rest], [True] * len(start) + [False] * len(rest))


def read_tasks(
    sampling: Given,
    tokenizer: Tokenizer,
    start: list[int],
    longest: int,
    prefixes_only: bool,
) -> list[InfillTask]:
    """The tasks of sampling.prompt, sampling.infill or the file sampling.tasks; `start` stands in
    front of each and counts in sampling.length, which is `longest` where it is null. ValueError in
    one line for what cannot be drawn so."""
    check_tasks_early(sampling)
    keys = given_keys(sampling)
    if not keys:
        raise ValueError(f"needs one of {', '.join(f'sampling.{key}' for key in GIVEN)}")
    (key,) = keys
    value = getattr(sampling, key)
    lines = read_lines(Path(value)) if key == "tasks" else [(label(key, value), {key: value})]
    default = sampling.length or longest
    tasks = []
    for where, line in lines:
        length = line.get("length", default)
        try:
            if length > longest:
                raise ValueError(f"length={length}: at most {longest} tokens can be drawn")
            task = _of_line(line, tokenizer, start, length)
            _check_task(task, prefixes_only)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        tasks.append(task)
    return tasks


def _of_line(
    line: dict[str, Any], tokenizer: Tokenizer, start: list[int], length: int
) -> InfillTask:
    if "tokens" in line:
        ids = _checked(line["tokens"], tokenizer)
        ids = ids if ids[: len(start)] == start else [*start, *ids]
        ids = ids + [None] * (line.get("length", 0) - len(ids))
        if len(ids) > length:
            raise ValueError(f"{_count(len(ids), start)}, at most {length} are allowed")
    else:
        ids = _spread(_parts(line), tokenizer, start, length)
        if len(ids) != line.get("length", len(ids)):
            made = _count(len(ids), start)
            raise ValueError(f"every gap says its tokens, which makes {made}, not length={length}")
    mask = tokenizer.vocab_size
    tokens = [mask if i is None else i for i in ids]
    return InfillTask(tokens, [i is not None for i in ids], line.get("id"))


def _parts(line: dict[str, Any]) -> list[str | Gap]:
    if "infill" in line:
        return parts_of(line["infill"], "infill")
    return [line["prompt"], Gap(None), line.get("suffix", "")]


def _spread(
    parts: Sequence[str | Gap], tokenizer: Tokenizer, start: list[int], length: int
) -> list[int | None]:
    """Token ids, None in the gaps. Each text is encoded for its own position; the gaps without a
    number share the rest of `length`, the first ones with one token more where that is not even."""
    encoded = [
        part.tokens if isinstance(part, Gap) else _encode(part, tokenizer, number == 0)
        for number, part in enumerate(parts)
    ]
    used = len(start) + sum(
        part if isinstance(part, int) else len(part) for part in encoded if part is not None
    )
    shares = encoded.count(None)
    if used + shares > length:
        rest = f" and {shares} or more to draw" if shares else ""
        raise ValueError(f"{_count(used, start)}{rest}, at most {length} are allowed in all")
    share, more = divmod(length - used, shares) if shares else (0, 0)
    ids: list[int | None] = [*start]
    for part in encoded:
        if isinstance(part, list):
            ids += part
            continue
        ids += [None] * (part if part is not None else share + (more > 0))
        more -= part is None
    return ids


def _encode(text: str, tokenizer: Tokenizer, first: bool) -> list[int]:
    """Ids of a text, the `first` of its line or not; ValueError where a character has none of its
    own."""
    ids = encode_given(text, tokenizer, first)
    # Text never makes a special token, except the one that stands for what is not known.
    if tokenizer.decode(ids) != tokenizer.decode(ids, special=True):
        unknown = next((letter for letter in text if _unknown(letter, tokenizer)), text)
        raise ValueError(f"no token of {tokenizer.name!r} stands for {unknown!r}")
    return ids


def _unknown(character: str, tokenizer: Tokenizer) -> bool:
    ids = tokenizer.encode_batch([character])[0]
    return tokenizer.decode(ids) != tokenizer.decode(ids, special=True)


def _checked(ids: list[int | None], tokenizer: Tokenizer) -> list[int | None]:
    for position, i in enumerate(ids):
        if i is not None and not 0 <= i < tokenizer.vocab_size:
            allowed = f"from 0 to {tokenizer.vocab_size - 1}; null is a gap"
            raise ValueError(f"token {i} at position {position} is not {allowed}")
    return ids


def _check_task(task: InfillTask, prefixes_only: bool) -> None:
    fixed = task.fixed
    if all(fixed):
        raise ValueError("every token is given, there is nothing to draw")
    if not prefixes_only:
        return
    if any(fixed[fixed.index(False) :]):
        raise ValueError("algo=ar takes prefixes only, here text follows a gap")
    if not fixed[0]:
        raise ValueError("algo=ar needs a token to begin with")


def _count(tokens: int, start: list[int]) -> str:
    return f"{tokens} tokens{' with BOS' if start else ''}"
