"""mode=leaderboard: the records of results_dir as tables."""

import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console

from evaluation.leaderboard import render
from evaluation.records import read_records


def run(settings: dict[str, Any], overrides: list[str], compose: Callable[..., Any]) -> None:
    records, problems = read_records(settings["results_dir"])
    for line in problems:
        print(f"set aside: {line}", file=sys.stderr)
    console = Console()
    for table in render(records, console.width):
        console.print(table)
