"""Which room may import which: an edge that is not listed here is a design decision that nobody
took."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = {
    "algos": {"backbones", "diffusion", "integral", "schema"},
    "backbones": {"diffusion.head", "diffusion.rows", "schema"},
    "data": {"schema", "storage"},
    "diffusion": {"schema"},
    "evaluation": {
        "algos.base",
        "algos.denoising",
        "backbones.attention",
        "data",
        "diffusion",
        "samplers",
        "schema",
        "storage",
        "training.agreement",
        "training.curve",
        "training.signals",
    },
    "hub": {
        "algos",
        "backbones",
        "data",
        "diffusion",
        "samplers",
        "schema",
        "storage",
        "training.checkpoint",
    },
    "integral": {"storage"},
    "leaderboard": {"evaluation", "schema", "storage"},
    "modes": {
        "algos",
        "backbones",
        "data",
        "diffusion",
        "evaluation",
        "hub",
        "leaderboard",
        "samplers",
        "schema",
        "storage",
        "training",
    },
    "samplers": {"algos.facts", "algos.settings", "diffusion", "schema"},
    "schema": set(),
    "storage": set(),
    "training": {"schema", "storage"},
}
# The standard library alone, so that what they refuse is refused within a second.
LIGHT = (
    "storage",
    "algos.facts",
    "data.prompts",
    "hub.export_folder",
    "hub.sources",
    "leaderboard.tracks.rules",
    "samplers.check",
    "samplers.facts",
    "schema",
    "training.signals",
)
LIGHT += (*(f"{room}.settings" for room in ROOMS),)
NO_LIGHTNING = {"backbones", "diffusion", "integral", "samplers", "schema", "storage"}
ONLY_IN_MAIN = {"hydra", "omegaconf"}


def imported(node: ast.AST) -> set[str]:
    """The names that one statement imports: modules, and what is taken from them."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if not isinstance(node, ast.ImportFrom):
        return set()
    assert node.level == 0, "a relative import"
    return {f"{node.module}.{alias.name}" for alias in node.names}


def imports(file: Path) -> set[str]:
    return {name for node in ast.walk(ast.parse(file.read_text())) for name in imported(node)}


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def test_every_room_is_under_the_law() -> None:
    rooms = {folder.parent.name for folder in ROOT.glob("*/__init__.py")}
    assert rooms == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    allowed = ROOMS[room] | {room}
    for file in files(room):
        for name in imports(file):
            if name.split(".")[0] not in ROOMS:
                continue
            parts = name.split(".")
            above = {".".join(parts[: depth + 1]) for depth in range(len(parts))}
            narrow = {rule for rule in allowed if rule.startswith(f"{name}.")}
            assert above & allowed or narrow, f"{file.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("room", ROOMS)
def test_hydra_and_lightning_stay_where_they_belong(room: str) -> None:
    for file in files(room):
        top = {name.split(".")[0] for name in imports(file)}
        assert not top & ONLY_IN_MAIN, file
        assert "pytorch_lightning" not in top, f"{file}: lightning is the one class tree"
        if room in NO_LIGHTNING:
            assert "lightning" not in top, file


def test_what_a_refusal_needs_is_light() -> None:
    """main.py at its start, and the checks of the configuration that it imports."""
    heavy = {"torch", "lightning", "transformers", "datasets", "numpy", *ROOMS} - {"modes"}
    checks = [str(file.relative_to(ROOT)) for file in files("modes/checks")]
    assert "modes/checks/combinations.py" in checks
    light = [str(file.relative_to(ROOT)) for file in ROOT.glob("*/settings.py")]
    light += [str(file.relative_to(ROOT)) for file in files("schema")]
    assert "modes/settings.py" in light and "schema/check.py" in light
    for file in ("main.py", "modes/__init__.py", *checks, *light):
        names = {
            name
            for node in ast.parse((ROOT / file).read_text()).body
            for name in imported(node)
            if not name.startswith(("modes.checks", *LIGHT))
        }
        assert not {name.split(".")[0] for name in names} & {*heavy, "modes"}, file
