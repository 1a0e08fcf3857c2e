"""English that is on every Debian machine with Python, to train a small language model on.

The docstrings of Python's own library and the licences in /usr/share/common-licenses: about two
million characters. None of it is a package's description, which the tasks are made of.
"""

import ast
import inspect
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

LICENCES = Path("/usr/share/common-licenses")
OTHERS_CODE = {"site-packages", "dist-packages", "test", "tests", "idlelib"}


def documents() -> list[str]:
    """Each module's docstrings, and each licence; in the same order on the same machine."""
    texts = [text for path in _modules() if (text := "\n\n".join(_docstrings(path)))]
    licences = sorted(
        path for path in LICENCES.glob("*") if path.is_file() and not path.is_symlink()
    )
    return texts + [path.read_text(encoding="utf-8", errors="replace") for path in licences]


def _modules() -> list[Path]:
    library = Path(sysconfig.get_path("stdlib"))
    paths = library.rglob("*.py")
    return sorted(path for path in paths if not OTHERS_CODE & set(path.relative_to(library).parts))


def _docstrings(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:  # some of the library's files are there to fail
        print(f"tiny_text: left out {path}: {error}", file=sys.stderr)
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node, clean=False)
            if text:
                yield inspect.cleandoc(text)
