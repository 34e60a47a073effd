#!/usr/bin/env python3
"""Writes THIRD-PARTY.txt: whose work is in the program, and on what terms.

    .ci/notices.py [--check]

From `cargo metadata` and the licence files that crates bring with them; what a
crate does not bring is the text of its licence as this repository has it. The
program prints the file (`hiwl licenses`), and a test holds its lists against
Cargo.lock, so that it is made anew when a dependency changes. `--check` fails
where that was forgotten. Crates that are not in cargo's cache are fetched.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "THIRD-PARTY.txt"
OWN = {"hiwl", "hiwl-kernels", "hiwl-python"}
RULE = "=" * 78

# Files of a crate, and of what it compiles, that are its terms. Where C sources
# may be had under the GPL or another licence, the other is taken.
NAMES = re.compile(r"^(li[cs]en[cs]e|copying|copyright|notice|unlicense)", re.I)
INSIDE = {
    "fitsio-sys": ["ext/cfitsio/License.txt", "ext/cfitsio/zlib/zlib.h"],
    "zstd-sys": ["zstd/LICENSE"],
    "aws-lc-sys": ["aws-lc/LICENSE"],
    "ring": [],
}

IJG = """This software is based in part on the work of the Independent JPEG Group."""


def metadata():
    """Every package of Cargo.lock that the platforms of the program need."""
    command = ["cargo", "metadata", "--locked", "--all-features", "--format-version", "1"]
    command += ["--filter-platform", "x86_64-unknown-linux-gnu"]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def within(data):
    """The packages whose code is in the program, all features on, or in the Python
    module."""
    packages = {package["id"]: package for package in data["packages"]}
    nodes = {node["id"]: node for node in data["resolve"]["nodes"]}
    seen, left = set(), list(data["workspace_members"])
    while left:
        here = left.pop()
        if here in seen:
            continue
        seen.add(here)
        for dependency in nodes[here]["deps"]:
            package = packages[dependency["pkg"]]
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            macro = any("proc-macro" in target["kind"] for target in package["targets"])
            if normal and not macro:
                left.append(dependency["pkg"])
    found = [packages[name] for name in seen if packages[name]["name"] not in OWN]
    return sorted(found, key=lambda package: (package["name"], package["version"]))


def expression(package):
    """The licence as SPDX writes it."""
    return re.sub(r"\s*/\s*", " OR ", package["license"])


def texts(package):
    """The texts of a package's terms, one a licence file, and whose each is."""
    folder = pathlib.Path(package["manifest_path"]).parent
    files = [name for name in sorted(os.listdir(folder)) if NAMES.match(name)]
    files = [name for name in files if (folder / name).is_file()]
    for name in INSIDE.get(package["name"], []):
        if (folder / name).is_file():
            files.append(name)
        else:
            sys.exit(f"{package['name']} has no {name} any more")
    name = f"{package['name']} {package['version']}"
    found = []
    for file in files:
        text = (folder / file).read_text("utf-8", "replace").strip()
        if file.endswith(".h"):
            # The terms are what the header begins with.
            text = text.split("*/")[0].strip("/* ")
        inside = file.split("/")[-2] if "/" in file else None
        found.append((f"{name} ({inside})" if inside else name, text))
    own = [name for name in files if "/" not in name]
    if not own:
        # The repository's own texts of the two licences, with the crate's names.
        authors = [re.sub(r"\s*<[^>]*>", "", author) for author in package["authors"]]
        who = ", ".join(authors) or f"the authors of {package['name']}"
        terms = expression(package)
        if "Apache-2.0" in terms:
            found.append((name, (ROOT / "LICENSE-APACHE").read_text().strip()))
        if "MIT" in terms:
            mit = (ROOT / "LICENSE-MIT").read_text().strip()
            mit = re.sub(r"(?m)^Copyright .*$", f"Copyright (c) {who}", mit, count=1)
            found.append((name, mit))
    if "IJG" in expression(package):
        found.append((name, IJG))
    if not found:
        sys.exit(f"{package['name']} {package['version']}: no text of {package['license']}")
    return found


def locked():
    """Name and version of every package of Cargo.lock but our own."""
    lock = (ROOT / "Cargo.lock").read_text()
    found = re.findall(r'\[\[package\]\]\nname = "([^"]+)"\nversion = "([^"]+)"', lock)
    return sorted(pair for pair in found if pair[0] not in OWN)


def page():
    data = metadata()
    inside = within(data)
    pairs = {(package["name"], package["version"]) for package in inside}
    lines = [
        "hiwl is made with the work of others. This file lists the crates that are in",
        "the program with all its features or in the Python module, each with its",
        "licence, and then the texts of these licences. The standard library of Rust is",
        "under MIT OR Apache-2.0,",
        "Copyright (c) The Rust Project Developers. It is made by .ci/notices.py.",
        "",
        RULE,
        "In the program",
        RULE,
        "",
    ]
    lines += [f"{p['name']} {p['version']}: {expression(p)}" for p in inside]
    lines += ["", RULE, "Only built or tested with, or on other systems", RULE, ""]
    lines += [f"{name} {version}" for name, version in locked() if (name, version) not in pairs]
    of = {}
    for package in inside:
        for name, text in texts(package):
            users = of.setdefault(key(text), (text, []))[1]
            if name not in users:
                users.append(name)
    for text, users in sorted(of.values(), key=lambda pair: (-len(pair[1]), pair[1])):
        lines += ["", RULE, *wrapped(users), RULE, "", *map(str.rstrip, text.splitlines())]
    return "\n".join(lines) + "\n"


def key(text):
    """What tells one text from another: not its lines, and of the Apache License
    not what each copy has behind its terms, an example of how to apply it."""
    words = " ".join(text.split())
    terms, end, rest = words.partition("END OF TERMS AND CONDITIONS")
    if end and "Apache License" in terms[:200] and len(rest) < 2000:
        names = re.findall(r"Copyright (?!\[yyyy\]|\{yyyy\})[^.]{5,80}", rest)
        return "Apache-2.0 " + " ".join(names) if names else "Apache-2.0"
    return words


def wrapped(names):
    lines, line = [], ""
    for place, name in enumerate(names):
        name += "," if place + 1 < len(names) else ""
        if line and len(line) + len(name) >= 78:
            lines.append(line)
            line = ""
        line += (" " if line else "") + name
    return [*lines, line]


made = page()
if "--check" in sys.argv[1:]:
    if TARGET.read_text() != made:
        sys.exit("THIRD-PARTY.txt is not what the crates say: run .ci/notices.py")
else:
    TARGET.write_text(made)
