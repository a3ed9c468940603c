"""The rooms: small folders and modules, each name once, and imports that only go down."""

import ast
import importlib.util
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from statistics import median

import pytest

SHIPPED = ("functions", "nightshift_cli", "local", "tools")
EVERYWHERE = (*SHIPPED, "sql", "tests", "bench")
# Several folders have a module of this name: a package, a function's handler, the two files of a job.
SHARED_NAMES = {"__init__", "__main__", "app", "job", "params"}
MOST_FILES = 25
MEDIAN_LINES = 150

PAGE = Path("docs/architecture.md")
# The floor of each room of functions/nightshift, as the page numbers them.
FLOORS = {room: int(floor) for floor, room in re.findall(r"^\| (\d+) \| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)}
# The rooms and modules of the command line, from the ground up.
OF_THE_CLI = ("base", "remote", "show", "values", "session", "agents", "commands", "main", "__main__", "__init__")
FLOORS_OF_CLI = {name: floor for floor, name in enumerate(OF_THE_CLI)}
# The registry finds the jobs' declarations, and a job type finds its code.
KNOW_THE_JOBS = {Path("functions/nightshift/jobs/registry.py"), Path("functions/nightshift/jobs/job_type.py")}


def modules_in(*folders: str) -> list[Path]:
    """Return the Python files without tests. functions/sql is a link to sql."""
    return sorted(
        path
        for folder in folders
        for path in Path(folder).rglob("*.py")
        if not path.name.startswith("test_") and "sql" not in path.parts
    )


def imports_of(tree: ast.AST) -> Iterator[str]:
    """Yield the modules that a file imports, inside functions and for types as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "no relative imports"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        # A module that is imported by its name is an import, too.
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from re.findall(r"^(nightshift\w*\.[\w.]*)", node.value)


def arrows_up(root: Path, floors: dict[str, int]) -> list[str]:
    """Return the imports between the rooms of a package that do not go down to a lower floor."""
    found = []
    for path in modules_in(str(root)):
        room = path.relative_to(root).parts[0].removesuffix(".py")
        for name in imports_of(ast.parse(path.read_text())):
            package, *rest = name.split(".")
            if package == root.name and rest and rest[0] in floors.keys() - {room} and floors[rest[0]] >= floors[room]:
                found.append(f"{path} imports {name}")
    return found


def test_no_module_name_is_used_twice():
    folders = defaultdict(list)
    for path in modules_in(*SHIPPED):
        folders[path.stem].append(str(path))
    assert {name: paths for name, paths in folders.items() if len(paths) > 1 and name not in SHARED_NAMES} == {}


def test_a_handler_and_a_jobs_files_have_their_names_in_their_folders_only():
    handlers = {path.parent.parent for path in modules_in(*SHIPPED) if path.stem == "app"}
    jobs = {path.parent.parent for path in modules_in(*SHIPPED) if path.stem == "job"}
    assert (handlers, jobs) == ({Path("functions")}, {Path("functions/nightshift_jobs")})


def test_no_folder_is_too_full():
    files = chain.from_iterable(Path(folder).rglob(kind) for folder in EVERYWHERE for kind in ("*.py", "*.sql"))
    counted = Counter(str(path.parent) for path in files)
    assert counted["sql/queries/runs"] > 15
    assert {folder: count for folder, count in counted.items() if count > MOST_FILES} == {}


def test_half_of_the_modules_are_short():
    lengths = [len(path.read_text().splitlines()) for path in modules_in(*SHIPPED)]
    assert len(lengths) > 150
    assert median(lengths) <= MEDIAN_LINES


def test_the_page_names_every_room():
    rooms = {path.parent.name for path in Path("functions/nightshift").glob("*/*.py")}
    assert FLOORS.keys() == rooms
    assert set(FLOORS.values()) == set(range(1, max(FLOORS.values()) + 1))


@pytest.mark.parametrize(
    ("root", "floors"),
    [("functions/nightshift", FLOORS), ("nightshift_cli", FLOORS_OF_CLI)],
    ids=["shared package", "command line"],
)
def test_imports_between_rooms_only_go_down(root, floors):
    """Imports that only go down form no circle, and a change of a room cannot break a room below it."""
    assert arrows_up(Path(root), floors) == []


def test_an_arrow_up_is_found_inside_a_function_and_for_types_as_well(tmp_path):
    root = tmp_path / "house"
    for path, text in {
        "ground/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.roof import b\n",
        "ground/c.py": "def late():\n    import house.roof.b\n",
        "ground/d.py": "from house.ground import a\n",
        "roof/b.py": "from house import ground\n",
        "beside/e.py": "from house.roof.b import ground\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    assert arrows_up(root, {"ground": 1, "roof": 2, "beside": 2}) == [
        f"{root}/beside/e.py imports house.roof.b.ground",
        f"{root}/ground/a.py imports house.roof.b",
        f"{root}/ground/c.py imports house.roof.b",
    ]


def test_the_shared_package_knows_the_jobs_in_one_place_and_nothing_above_it():
    above = {path.parent.name for path in Path("functions").glob("*/app.py")} | {*SHIPPED, *EVERYWHERE}
    for path in modules_in("functions/nightshift"):
        packages = {name.split(".")[0] for name in imports_of(ast.parse(path.read_text()))}
        assert packages & above == set(), path
        assert "nightshift_jobs" not in packages or path in KNOW_THE_JOBS


def test_a_declaration_imports_nothing_of_ours_but_job_types():
    """Every function reads all declarations at its cold start."""
    for path in Path("functions/nightshift_jobs").glob("*/__init__.py"):
        own = f"nightshift_jobs.{path.parent.name}."
        names = [name for name in imports_of(ast.parse(path.read_text())) if not name.startswith(own)]
        assert {name.rpartition(".")[0] for name in names if name.startswith("nightshift")} == {"nightshift.jobs"}, path


def module_names(tree: ast.AST) -> set[str]:
    """Return the names under which a file has imported modules."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names if is_module(f"{node.module}.{alias.name}")}
    return names


def is_module(name: str) -> bool:
    """Tell modules from other names without importing our own code."""
    package, *_ = parts = name.split(".")
    for root in (Path(), Path("functions")):
        if (root / package).is_dir():
            return (root / "/".join(parts)).is_dir() or (root / "/".join(parts)).with_suffix(".py").is_file()
    try:
        return name in sys.modules or importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def local_names(function: ast.AST) -> Iterator[str]:
    """Yield the parameters of a function, and the names that it binds."""
    for node in ast.walk(function):
        match node:
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) if node is not function:
                yield name


def hidden_modules(text: str) -> set[str]:
    tree = ast.parse(text)
    functions = (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    )
    return module_names(tree) & {name for function in functions for name in local_names(function)}


def test_no_local_name_hides_a_module():
    found = {
        str(path): hidden
        for folder in EVERYWHERE
        for path in Path(folder).rglob("*.py")
        if (hidden := hidden_modules(path.read_text()))
    }
    assert found == {}


@pytest.mark.parametrize(
    "function",
    [
        "def f(json): ...",
        "def f(*, json=1): ...",
        "f = lambda json: 1",
        "def f():\n    json = 1",
        "def f():\n    for json in (): ...",
        "def f():\n    return [json for json in ()]",
        "def f():\n    with open('x') as json: ...",
        "def f():\n    try: ...\n    except OSError as json: ...",
        "def f(x):\n    match x:\n        case [1, *json]: ...",
        "def f():\n    def json(): ...",
        "async def f(json): ...",
    ],
)
def test_a_local_name_that_hides_a_module_is_found(function):
    assert hidden_modules(f"import json\n{function}\n") == {"json"}
    assert hidden_modules(f"from json import loads as json\n{function}\n") == set()
