"""What Debian's packages on this machine say of themselves, as dpkg's own records have it.

`load(path)` reads it from a file, so that what is evaluated stays the same when packages come and
go; the file is made from dpkg's records by whoever needs it first.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

STATUS = Path("/var/lib/dpkg/status")


class Package(NamedTuple):
    name: str
    source: str  # packages built from the same source often share parts of their descriptions
    section: str
    synopsis: str  # the description's first line
    description: str  # the rest of it


def load(path: Path) -> list[Package]:
    """The packages in the file at `path`, which is made if it is not there."""
    if not path.exists():
        _save(path, installed())
    return [Package(*fields) for fields in json.loads(path.read_text(encoding="utf-8"))]


def installed(status: Path = STATUS) -> list[Package]:
    """Every installed package that has a description, by name."""
    packages = {}
    for record in _records(status):
        synopsis, _, rest = record.get("Description", "").partition("\n")
        description = _flowing(rest)
        if record.get("Status") == "install ok installed" and description:
            packages[record["Package"]] = Package(
                name=record["Package"],
                source=record.get("Source", record["Package"]).split()[0],
                section=record.get("Section", "").rpartition("/")[2],
                synopsis=synopsis,
                description=description,
            )
    return [packages[name] for name in sorted(packages)]


def _records(status: Path) -> Iterator[dict[str, str]]:
    for block in status.read_text(encoding="utf-8", errors="replace").split("\n\n"):
        record = {}
        key = ""
        for line in block.splitlines():
            if line[:1].isspace():
                record[key] += "\n" + line
            else:
                key, _, value = line.partition(":")
                record[key] = value.strip()
        if record:
            yield record


def _flowing(text: str) -> str:
    """A description without its markup: a line with one dot ends a paragraph."""
    paragraphs = [[]]
    for line in map(str.strip, text.splitlines()):
        if line == ".":
            paragraphs.append([])
        else:
            paragraphs[-1].append(line)
    return "\n".join(" ".join(lines) for lines in paragraphs if lines)


def _save(path: Path, packages: list[Package]) -> None:
    """Whole, and only if nobody else has been quicker: all then read the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(packages, indent=0), encoding="utf-8")
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
