"""Archives as Python's tarfile makes and reads them.

    archives.py make FOLDER     one archive a format; prints their names
    archives.py list ARCHIVE    sha256 and name of every image, in order
"""

import hashlib
import io
import sys
import tarfile

IMAGES = (".jpg", ".png", ".fits")


def make(folder):
    names = [
        "a.jpg",
        "./b.jpg",
        "deep/" * 25 + "c.png",
        "long" * 50 + ".fits",
        "银河 é.jpg",
        "notes.txt",
    ]
    formats = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
    for label, form in formats.items():
        with tarfile.open(f"{folder}/{label}.tar", "w", format=form) as archive:
            for i, name in enumerate(names):
                if label == "ustar" and name.startswith("long"):
                    continue  # ustar has no room for it
                info = tarfile.TarInfo(name)
                data = bytes([i]) * (i * 700 + 1)
                info.size = len(data)
                if label == "pax":
                    info.pax_headers = {"SCHILY.xattr.user.x": "two\nlines=1\n", "comment": "é"}
                archive.addfile(info, io.BytesIO(data))
        print(f"{label}.tar")


def members(path):
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(IMAGES):
                data = archive.extractfile(member).read()
                print(hashlib.sha256(data).hexdigest(), member.name.removeprefix("./"))


if __name__ == "__main__":
    {"make": make, "list": members}[sys.argv[1]](sys.argv[2])
