#!/usr/bin/env python3
"""Mutations of good and of deadly files through the program, as users meet it.

    benches/mutated.py PROGRAM SECONDS [SEED] [--corpus FOLDER] [--only KIND,...]
    benches/mutated.py seeds FOLDER [--corpus FOLDER]

Kinds: cutouts (FITS of every tile compression, cards, JPEG, PNG, gzip), archives
(tar), tables (CSV, TSV, ECSV, VOTable, FITS, Parquet, gzipped, of paths, images,
labels and votes), weights (pickles, zip archives of PyTorch, safetensors), runs
(parts, listings, run.json, plans), settings (recipes, schemas, pipelines,
conditions). `--corpus` names a folder of further files, which are sorted into these
kinds by their names.

What must hold of every command: one of the exit codes that README.md documents, and
neither a defect's nor a signal's; words where it is not 0; an end within PATIENCE of
the processor's time, and within WAIT of anybody's; at most MEMORY resident. Of every run over cutouts: one row for each file, and the same
rows from the same command with one worker, other batches, and memory that is filled
with other bytes when it is allocated and freed (glibc.malloc.perturb). A mutant that
breaks this is kept under target/mutants, with what was said. Prints counts by kind,
and ends with 1 if anything was otherwise. Needs tests/oracles/requirements.txt.

`seeds` writes the files that are mutated, in folders by the checks of fuzz/.
"""

import argparse
import bz2
import collections
import io
import gzip
import os
import pathlib
import pickle
import random
import resource
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from astropy.io import fits
from astropy.table import Table
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "fixtures/models/untrained-nano.safetensors"
KINDS = ["cutouts", "cutouts", "cutouts", "tables", "tables", "archives", "weights", "runs",
         "settings"]
PATIENCE, WAIT = 60, 900
MEMORY = 2 << 30
BATCH = 40
DOCUMENTED = {0, 1, 2, 64}
warnings.simplefilter("ignore")


# What is mutated: (name, bytes) by kind.

def scene(side, dtype, planes=3):
    noise = np.random.default_rng(side)
    y, x = np.mgrid[:side, :side]
    flux = 300 * np.exp(-np.hypot(y - side / 2, x - side / 2) / (side / 9))
    cube = noise.normal(0, 1, (planes, side, side)) + flux
    if dtype == "u1":
        return np.clip(20 + cube, 0, 255).astype(dtype)
    scale = {"i2": 90, "i4": 900_000, "f4": 0.01, "f8": 0.01}[dtype]
    return (cube * scale).astype(dtype)


def of_fits(*hdus):
    out = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(out)
    # As astropy would apply it.
    return out.getvalue().replace(b"XSCALE  =", b"BSCALE  =")


POSITION = {
    "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "CRVAL1": 10.5, "CRVAL2": -3.25,
    "CRPIX1": 4.5, "CRPIX2": 4.5, "CD1_1": -1.1e-4, "CD2_2": 1.1e-4, "RADESYS": "FK5",
    "EQUINOX": 2000.0, "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-6, "B_0_2": 1e-6,
    "BUNIT": "nanomaggy", "BANDS": "irg", "HIERARCH ESO DET ID": "x",
}


def cutouts():
    header = fits.Header(POSITION)
    primary = fits.PrimaryHDU
    for dtype in ["u1", "i2", "i4", "f4", "f8"]:
        header["XSCALE"] = {"u1": 0.01, "i2": 1e-4, "i4": 1e-8}.get(dtype, 1.0)
        yield f"plain-{dtype}.fits", of_fits(primary(scene(64, dtype), header))
        for how in ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1"]:
            if how == "PLIO_1" and dtype != "u1":
                continue
            tile = (1, 64, 64) if how == "HCOMPRESS_1" else (1, 16, 64)
            data = scene(64, dtype)
            image = fits.CompImageHDU(data, header, compression_type=how, tile_shape=tile,
                                      quantize_level=16.0, quantize_method=2)
            yield f"{how}-{dtype}.fits", of_fits(primary(), image)
    single = fits.Header({name: value for name, value in POSITION.items() if name != "BANDS"})
    bands = [fits.CompImageHDU(scene(64, "f4", 1)[0], single, name=band, compression_type="RICE_1")
             for band in "gri"]
    yield "bands.fits", of_fits(primary(), *bands)
    header["XSCALE"] = 1e-4
    large = fits.CompImageHDU(scene(512, "i2"), header, compression_type="HCOMPRESS_1",
                              tile_shape=(1, 512, 512))
    yield "large.fits", of_fits(primary(), large)
    yield "scaled.fits", of_fits(primary(scene(64, "i2"), fits.Header(
        POSITION | {"XSCALE": 1e-4, "BZERO": -0.5, "BLANK": -32768})))
    header["XSCALE"] = 1.0
    packed = of_fits(primary(scene(64, "f4"), header))
    yield "packed.fits.gz", gzip.compress(packed)
    yield "packed.fits.bz2", bz2.compress(packed)
    picture = Image.fromarray(np.moveaxis(scene(240, "u1"), 0, 2))
    for name, options in [("plain", {}), ("progressive", dict(progressive=True)),
                          ("restarts", dict(restart_marker_blocks=4, subsampling=2))]:
        out = io.BytesIO()
        picture.save(out, "JPEG", **options)
        yield f"{name}.jpg", out.getvalue()
    for mode in ["RGB", "RGBA", "L", "P", "I;16"]:
        out = io.BytesIO()
        deep = Image.fromarray(scene(240, "u1")[0].astype("u2") * 257)
        (deep if mode == "I;16" else picture.convert(mode)).save(out, "PNG")
        yield f"{mode.replace(';', '')}.png", out.getvalue()


def archives():
    pictures = [bytes_ for name, bytes_ in cutouts() if name in ("plain.jpg", "RICE_1-i2.fits")]
    for form in [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]:
        for long in [False, True]:
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w", format=form) as archive:
                for n in range(4):
                    folder = ("ordner/" * 20 if form == tarfile.USTAR_FORMAT
                              else "ördner/" * 40) if long else ""
                    member = tarfile.TarInfo(f"{folder}{n}.{'jpg' if n % 2 == 0 else 'fits'}")
                    member.size = len(pictures[n % 2])
                    archive.addfile(member, io.BytesIO(pictures[n % 2]))
            yield f"{form}-{int(long)}.tar", out.getvalue()
    yield "fixtures.tar", next((ROOT / "fixtures/cutouts/tar").glob("*.tar")).read_bytes()[:60_000]


def tables():
    picture = next(bytes_ for name, bytes_ in cutouts() if name == "plain.jpg")
    paths = Table({"id": ["1", "2", "3"], "path": ["a.jpg", "b.jpg", "c.fits"],
                   "ra": [10.5, np.nan, 3], "dec": [-3.0, 1, 90], "n": [1, -2, 2**53],
                   "note": ["x", "", "y"], "flag": [True, False, True]})
    labels = Table({"GalaxyID": np.array([100001, 100002, 1237648720142400100]),
                    "label": ["CRS", "EO", "SPI"], "split": ["train", "val", "test"]})
    head = (["GalaxyID"] + [f"Class{q}.{a}" for q, answers in enumerate(
        [3, 2, 2, 2, 4, 2, 3, 7, 3, 3, 6], 1) for a in range(1, answers + 1)])
    random_ = np.random.default_rng(3)
    votes = Table({name: np.arange(100, 120) if name == "GalaxyID" else random_.random(20).round(6)
                   for name in head})
    votes_gz = Table({"iauname": ["J1", "J2"], "smooth-or-featured_smooth_fraction": [0.5, 0.1],
                      "smooth-or-featured_featured-or-disk_fraction": [0.3, 0.8],
                      "smooth-or-featured_artifact_fraction": [0.2, 0.1],
                      "smooth-or-featured_total-votes": [40, 38]})
    for name, table in [("paths", paths), ("labels", labels), ("votes", votes), ("gz", votes_gz)]:
        for extension, form in [("csv", "ascii.csv"), ("tsv", "ascii.tab"), ("ecsv", "ascii.ecsv")]:
            out = io.StringIO()
            table.write(out, format=form)
            yield f"{name}.{extension}", out.getvalue().encode()
        yield f"{name}.csv.gz", gzip.compress(
            "\n".join([",".join(table.colnames)] + [",".join(map(str, row)) for row in table]).encode())
        for serialization in ["tabledata", "binary", "binary2"]:
            out = io.BytesIO()
            table.write(out, format="votable", tabledata_format=serialization)
            yield f"{name}-{serialization}.vot", out.getvalue()
        out = io.BytesIO()
        fits.BinTableHDU(table).writeto(out)
        yield f"{name}.fits", out.getvalue()
        yield f"{name}.fits.gz", gzip.compress(out.getvalue())
        frame = pa.table({n: table[n].tolist() for n in table.colnames})
        for codec, dictionary in [("none", True), ("snappy", False), ("zstd", True), ("gzip", False)]:
            out = io.BytesIO()
            pq.write_table(frame, out, compression=codec, use_dictionary=dictionary)
            yield f"{name}-{codec}.parquet", out.getvalue()
    images = pa.table({"id": ["1", "2", "3"], "image": pa.array([picture] * 3, pa.binary())})
    huggingface = pa.table({"id": ["1", "2"], "image": pa.array(
        [{"bytes": picture, "path": "1.jpg"}] * 2)})
    planes = pa.table({"id": [1, 2], "image": pa.array(
        [scene(64, "f4").ravel().tolist()] * 2, pa.list_(pa.float32()))})
    for name, table in [("images", images), ("huggingface", huggingface), ("planes", planes)]:
        for codec, dictionary in [("none", True), ("snappy", False)]:
            out = io.BytesIO()
            pq.write_table(table, out, compression=codec, use_dictionary=dictionary)
            yield f"{name}-{codec}.parquet", out.getvalue()
    wide = [fits.Column("objid", "K", array=[1, 2]), fits.Column("path", "20A", array=["a.jpg", "b"]),
            fits.Column("ra", "D", array=[1, 2], bscale=1), fits.Column("list", "PD()", array=np.array(
                [np.ones(3), np.ones(5)], dtype=object)), fits.Column("bits", "11X", array=np.ones((2, 11)))]
    yield "wide.fits", of_fits(fits.PrimaryHDU(), fits.BinTableHDU.from_columns(wide))


def weights():
    for path in sorted((ROOT / "fixtures/golden/checkpoints").glob("*.pth")):
        yield path.name, path.read_bytes()
    yield "nano.safetensors", MODEL.read_bytes()


def settings():
    for folder in ["pipelines", "schemas", "schemas/trees"]:
        for path in sorted((ROOT / folder).glob("*.toml")):
            yield path.name, path.read_bytes()


CONDITIONS = [
    "label = 'SPI' and p_spi >= 0.9", "not (ra < 10.5e0 or stage2_ran is null) and id in ('a', 'b')",
    "width between 1 and 1237648720142400100", "id like '12%' or label <> \"EO\"",
    "((p_spi)) != -1.5e-3 and stage2_ran",
]


# How it is mutated.

CARDS = [
    "ZCMPTYPE", "ZBITPIX", "ZNAXIS", "ZNAXIS1", "ZNAXIS2", "ZNAXIS3", "ZTILE1", "ZTILE2", "ZTILE3",
    "ZNAME1", "ZVAL1", "ZNAME2", "ZVAL2", "ZQUANTIZ", "ZDITHER0", "ZBLANK", "ZSCALE", "ZZERO",
    "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "BITPIX", "PCOUNT", "GCOUNT", "TFIELDS", "THEAP", "TFORM1",
    "TFORM2", "TTYPE1", "TTYPE2", "TDIM1", "TSCAL1", "TZERO1", "TNULL1", "BSCALE", "BZERO", "BLANK",
    "XTENSION", "SIMPLE", "EXTEND", "EXTNAME", "GROUPS", "CONTINUE", "LONGSTRN", "ZIMAGE", "BANDS",
    "FILTER", "CTYPE1", "CTYPE3", "CRPIX1", "CD1_1", "PC001001", "A_ORDER", "EQUINOX", "END",
]
VALUES = [
    "0", "1", "-1", "2", "3", "8", "9", "16", "32", "64", "-32", "-64", "65535", "65536", "2147483647",
    "2147483648", "-2147483648", "4294967296", "9223372036854775807", "99999999999999999999",
    "1E400", "1.0D5", "NaN", "T", "F", "'T       '", "'RICE_1  '", "'GZIP_1  '", "'GZIP_2  '",
    "'HCOMPRESS_1'", "'PLIO_1  '", "'rice_1'", "'NOCOMPRESS'", "'1PB(9)  '", "'1QB(9)  '", "'1PI(0)  '",
    "'999999999999B'", "'1D      '", "'0PB     '", "'COMPRESSED_DATA'", "'BLOCKSIZE'", "'BYTEPIX'",
    "'SCALE'", "'SMOOTH'", "'IMAGE   '", "'BINTABLE'", "'it''s'", "'open", "", "= 3", "(1,2)",
    "'" + "x" * 66 + "&'", "10.5 / note", "'2'",
]


def mutate_cards(bytes_, rng):
    """A change of a header's records: values, order, doubles, letter case, HIERARCH."""
    records = [at for at in range(0, min(len(bytes_), 300_000), 80)
               if bytes_[at:at + 1].isalpha() and bytes_[at:at + 80].isascii()]
    if not records:
        return bytes_
    out = bytearray(bytes_)
    at = rng.choice(records)
    record = out[at:at + 80].ljust(80)
    what = rng.randrange(8)
    if what <= 2:
        value = rng.choice(VALUES)
        name = record[:8].decode() if rng.random() < 0.7 else f"{rng.choice(CARDS):8}"
        record = f"{name}= {value:>20}"[:80].ljust(80).encode() if value[:1] != "'" \
            else f"{name}= {value}"[:80].ljust(80).encode()
    elif what == 3:
        record = record.lower() if rng.random() < 0.5 else b" " + record[:79]
    elif what == 4:
        record = (b"HIERARCH " + record)[:80]
    elif what == 5:
        other = rng.choice(records)
        record, out[other:other + 80] = out[other:other + 80].ljust(80), record
    elif what == 6:
        record = out[(other := rng.choice(records)):other + 80].ljust(80)
    else:
        place = rng.randrange(80)
        record[place] = rng.choice(b" '=/&0129TFDEe.-+\x00\x7f\xff\t")
    out[at:at + 80] = record
    if rng.random() < 0.1:
        out[at:at] = record
        del out[at + 80 * 36:at + 80 * 37]
    return bytes(out)


def mutate_words(bytes_, rng):
    """A change of text: numbers, quotation marks, tags and names that are limits."""
    tokens = [b"1e999", b"-1", b"99999999999999999999", b"'", b'"', b"\n", b",", b"\t", b"\x1b[31m",
              b"\xff\xfe", b"nan", b"=", b"[", b"]", b"{", b"}", b"<", b"</", b"/>", b"<TD>", b"</TR>",
              b"<FIELD name='x' datatype='double' arraysize='*'/>", b"&#x0;", b"&lol;", b"<!--",
              b"<![CDATA[", b"<!DOCTYPE a [<!ENTITY lol 'lol'>]>", b"arraysize=\"99999999999\"",
              b"datatype=\"bit\"", b"0" * 400, b"x" * 70_000, b"{band}", b"../../../etc/passwd", b"-",
              b"http://a:b@c/d", b"id", b"path", b"", b"[[[" * 60]
    at = rng.randrange(len(bytes_) + 1)
    end = at + rng.choice([0, 0, 1, 4, 20])
    return bytes_[:at] + rng.choice(tokens) + bytes_[end:]


def mutate_pickle(bytes_, rng):
    """A change of the pickle in a zip archive: opcodes repeated, exchanged, nested."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(bytes_))
        members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:
        return mutate_bytes(bytes_, bytes_, rng)
    for name in members:
        if name.endswith("data.pkl") and rng.random() < 0.9:
            data = bytearray(members[name])
            for _ in range(rng.randint(1, 3)):
                if len(data) < 3:
                    break
                at = rng.randrange(2, len(data))
                what = rng.randrange(6)
                opcodes = b"(.012FIJKLMNPQRSTUVXabcdeghijlopqrstu}])\x80\x81\x82\x85\x86\x87\x88\x8a\x8c\x94\x93\x92"
                if what == 0:
                    data[at] = rng.choice(opcodes)
                elif what == 1:
                    data[at:at] = bytes([rng.choice(opcodes)]) * rng.choice([1, 2, 40, 5000])
                elif what == 2:
                    piece = data[at:at + rng.randint(1, 60)]
                    data[at:at] = piece * rng.choice([1, 2, 30, 1000])
                elif what == 3:
                    data[at:at + 4] = struct.pack("<I", rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1]))
                elif what == 4:
                    data[at:at] = b"2\x86" * rng.choice([1, 30, 3000])
                else:
                    del data[at:at + rng.randint(1, 20)]
            members[name] = bytes(data)
        elif rng.random() < 0.2:
            members[name] = members[name][:rng.randrange(len(members[name]) + 1)]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED if rng.random() < 0.7 else
                         zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def mutate_tar(bytes_, rng):
    """A change of a member's header, with its checksum made right again."""
    out = bytearray(bytes_)
    heads = [at for at in range(0, len(out), 512) if out[at + 257:at + 262] == b"ustar"]
    if not heads:
        return mutate_bytes(bytes_, bytes_, rng)
    at = rng.choice(heads)
    what = rng.randrange(6)
    if what == 0:
        out[at + 124:at + 136] = rng.choice([b"77777777777\0", b"\x80" + b"\xff" * 11, b"-0000000001\0",
                                             b"\xff" * 12, b"00000000000\0", b"\x80" + b"\0" * 10 + b"\x01"])
    elif what == 1:
        out[at + 156] = rng.choice(b"01234567LKxgSDMNVA\x00\xff")
    elif what == 2:
        out[at:at + 100] = rng.choice([b"/" * 100, b"../" * 33 + b"x", b"\xff" * 100, b"\0" * 100])
    elif what == 3:
        out[at + 345:at + 500] = bytes(rng.randrange(256) for _ in range(155))
    elif what == 4:
        out[at + rng.randrange(512)] = rng.randrange(256)
    else:
        return mutate_bytes(bytes_, bytes_, rng)
    out[at + 148:at + 156] = b" " * 8
    out[at + 148:at + 156] = b"%06o\0 " % sum(out[at:at + 512])
    return bytes(out)


def mutate_bytes(bytes_, other, rng):
    """Bits, bytes that are limits, stretches removed, repeated, cleared, exchanged."""
    if not bytes_:
        return other
    out = bytearray(bytes_)
    reach = min(len(out), 600) if rng.random() < 0.4 else len(out)
    at = rng.randrange(reach)
    end = min(len(out), at + rng.choice([1, 4, 16, 64, 512, 4096]))
    what = rng.randrange(9)
    if what == 0:
        out[at] ^= 1 << rng.randrange(8)
    elif what == 1:
        out[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFE, 0xFF])
    elif what == 2:
        out[at:end] = rng.choice([b"\0", b" ", b"\xff"]) * (end - at)
    elif what == 3:
        del out[at:end]
    elif what == 4:
        out[at:at] = out[at:end]
    elif what == 5:
        del out[at:]
    elif what == 6:
        start = rng.randrange(len(other)) if other else 0
        out[at:end] = other[start:start + end - at]
    elif what == 7:
        out[at:end] = bytes(rng.choice(b"0123456789") if 48 <= b <= 57 else b for b in out[at:end])
    else:
        number = rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1])
        out[at:at + 4] = struct.pack(rng.choice("<>") + "I", number)
    return bytes(out)


def mutant(name, bytes_, others, rng):
    packed = bytes_[:2] == b"\x1f\x8b" and rng.random() < 0.8
    if packed:
        try:
            bytes_ = gzip.decompress(bytes_)
        except (OSError, EOFError, zlib.error):
            packed = False
    for _ in range(rng.choice([1, 1, 1, 1, 2, 4])):
        own = mutate_bytes
        if ".fits" in name and rng.random() < 0.6:
            own = lambda b, _, r: mutate_cards(b, r)
        elif name.endswith(".tar") and rng.random() < 0.6:
            own = lambda b, _, r: mutate_tar(b, r)
        elif name.endswith(".pth") and rng.random() < 0.8:
            own = lambda b, _, r: mutate_pickle(b, r)
        elif name.split(".")[-1] in ("csv", "tsv", "ecsv", "vot", "toml", "json", "gz") and rng.random() < 0.5:
            own = lambda b, _, r: mutate_words(b, r)
        bytes_ = own(bytes_, rng.choice(others), rng)
    return gzip.compress(bytes_, 1) if packed else bytes_


# What is done with it.

class Trouble(Exception):
    pass


class Bench:
    def __init__(self, program, seed, corpus):
        self.program = str(pathlib.Path(program).resolve())
        self.rng = random.Random(seed)
        self.seed = seed
        memory = pathlib.Path("/dev/shm")
        self.home = pathlib.Path(tempfile.mkdtemp(
            prefix="hiwl-mutated-", dir=memory if memory.is_dir() else None))
        self.seeds = seeds(corpus)
        self.counts = collections.defaultdict(collections.Counter)
        self.peak, self.slowest, self.commands, self.bad = 0, 0.0, 0, 0
        self.made = None

    def command(self, *arguments, **variables):
        """Ends as it must, or it is trouble; its exit code, and what it wrote."""
        environment = dict(os.environ, HIWL_MODEL=str(MODEL), **variables)
        said = tempfile.TemporaryFile()
        began = time.monotonic()
        process = subprocess.Popen([self.program, *map(str, arguments)], cwd=self.home,
                                   env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                   preexec_fn=lambda: resource.setrlimit(
                                       resource.RLIMIT_CPU, (PATIENCE, PATIENCE)))
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - began > WAIT:
                process.kill()
                os.wait4(process.pid, 0)
                raise Trouble(f"{arguments}: still at work after {WAIT} s")
            time.sleep(0.005)
        took = time.monotonic() - began
        process.returncode = code = os.waitstatus_to_exitcode(status)
        self.commands += 1
        self.slowest = max(self.slowest, took)
        self.peak = max(self.peak, usage.ru_maxrss << 10)
        said.seek(0)
        words = said.read().decode(errors="replace")
        if code not in DOCUMENTED:
            raise Trouble(f"{arguments}: ends with {code}: {words[-3000:]}")
        if "defect of hiwl" in words or "panicked" in words:
            raise Trouble(f"{arguments}: {words[-3000:]}")
        if code != 0 and not words.strip():
            raise Trouble(f"{arguments}: ends with {code} and no word")
        if any(ord(c) < 32 and c not in "\n\t" for c in words) or "\x1b" in words:
            raise Trouble(f"{arguments}: what acts on a terminal: {words[-3000:]!r}")
        if usage.ru_maxrss << 10 > MEMORY:
            raise Trouble(f"{arguments}: {usage.ru_maxrss >> 10} MiB")
        return code, words

    def rows(self, *inputs):
        """The rows of a run over these inputs, and of the same run otherwise worked on."""
        flags = ["--resample", "bilinear", "--quiet", "--range-size", "50"]
        found = []
        for output, more, variables in [
            ("one", ["--workers", "2", "--batch", "8"], {}),
            ("two", ["--workers", "1", "--batch", "3"],
             {"GLIBC_TUNABLES": "glibc.malloc.perturb=165"}),
        ]:
            shutil.rmtree(self.home / output, ignore_errors=True)
            code, words = self.command("classify", *inputs, "-o", output, *flags, *more, **variables)
            parts = sorted((self.home / output / "catalog").glob("*.parquet"))
            if code in (2, 64) or not parts:
                found.append((code, None))
                continue
            found.append((code, pa.concat_tables(pq.read_table(part) for part in parts)))
        (first, one), (second, two) = found
        if first != second or (one is None) != (two is None) or (one is not None and not same(one, two)):
            raise Trouble(f"another answer the second time: {first}, {second}")
        return first, one

    def cutouts(self):
        folder = self.home / "in"
        folder.mkdir()
        files = {}
        for n in range(BATCH):
            name, bytes_, others = self.pick("cutouts")
            ending = name[name.index("."):]
            files[f"{n:03}{ending}"] = mutant(name, bytes_, others, self.rng)
        for name, bytes_ in files.items():
            (folder / name).write_bytes(bytes_)
        code, table = self.rows("in")
        if table is None or table.num_rows != len(files):
            raise Trouble(f"{0 if table is None else table.num_rows} rows of {len(files)} files, code {code}")
        self.count("cutouts", table["status"].to_pylist())

    def archives(self):
        name, bytes_, others = self.pick("archives")
        (self.home / "in.tar").write_bytes(mutant(name, bytes_, others, self.rng))
        code, table = self.rows("in.tar")
        self.count("archives", [f"exit code {code}"])

    def tables(self):
        name, bytes_, others = self.pick("tables")
        file = "in" + name[name.index("."):]
        (self.home / file).write_bytes(mutant(name, bytes_, others, self.rng))
        codes = [self.command("labels", file, "-o", "labels.csv")[0]]
        codes.append(self.rows(file)[0])
        self.count("tables", [f"exit code {code}" for code in codes])

    def weights(self):
        name, bytes_, others = self.pick("weights")
        file = "in" + name[name.index("."):]
        (self.home / file).write_bytes(mutant(name, bytes_, others, self.rng))
        codes = [self.command("model", "import", file, file, "-o", "model.safetensors")[0]]
        if file.endswith("safetensors"):
            codes.append(self.command("model", "info", file)[0])
        self.count("weights", [f"exit code {code}" for code in codes])

    def runs(self):
        if self.made is None:
            self.made = self.home.parent / f"{self.home.name}-run"
            self.command("plan", ROOT / "fixtures/cutouts/jpeg", "-o", self.made, "--shards", "2",
                         "--range-size", "10")
            self.command("classify", "--plan", self.made, "--shard", "all", "--quiet")
        run = self.home / "run"
        shutil.copytree(self.made, run)
        files = sorted(path for path in run.rglob("*") if path.is_file())
        file = self.rng.choice(files)
        bytes_ = file.read_bytes()
        file.write_bytes(mutant(file.name, bytes_, [bytes_], self.rng))
        codes = [self.command(*command)[0] for command in [
            ("verify", "run"), ("catalog", "run"), ("status", "run"),
            ("export", "run", "--to", self.rng.choice(["csv", "fits", "votable", "parquet"]), "-o", "out",
             "--partial", "--rejected", "--overwrite"),
            ("classify", "--plan", "run", "--shard", "all", "--quiet"), ("verify", "run")]]
        self.count("runs", [f"exit code {code}" for code in codes])

    def settings(self):
        if self.made is None:
            return self.runs()
        if self.rng.random() < 0.4:
            text = self.rng.choice(CONDITIONS).encode()
            text = mutate_words(mutate_bytes(text, b"and or not ('", self.rng), self.rng)
            text = text.replace(b"\0", b"")[:60_000].decode(errors="replace")
            code = self.command("export", self.made, "--to", "csv", "-o", "out.csv", "--overwrite",
                                f"--where={text}")[0]
            return self.count("conditions", [f"exit code {code}"])
        name, bytes_, others = self.pick("settings")
        (self.home / "in.toml").write_bytes(mutant(name, bytes_, others, self.rng))
        jpeg = ROOT / "fixtures/cutouts/jpeg"
        codes = [self.command("classify", jpeg, "-o", "p", "-p", "./in.toml", "--quiet")[0],
                 self.command("labels", jpeg / "labels.csv", "--votes", "./in.toml")[0],
                 self.command("labels", jpeg / "labels.csv", "--rules", "./in.toml")[0]]
        self.count("settings", [f"exit code {code}" for code in codes])

    def pick(self, kind):
        files = self.seeds[kind]
        name, bytes_ = self.rng.choice(files)
        return name, bytes_, [other for _, other in files]

    def count(self, kind, answers):
        self.counts[kind].update(answers)

    def step(self, kind):
        for path in list(self.home.iterdir()):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        try:
            getattr(self, kind)()
        except Trouble as trouble:
            self.bad += 1
            keep = ROOT / f"target/mutants/{kind}-{self.seed}-{self.bad}"
            shutil.rmtree(keep, ignore_errors=True)
            shutil.copytree(self.home, keep)
            (keep / "TROUBLE").write_text(str(trouble))
            print(f"  {kind} ({keep}): {str(trouble)[:2000]}", flush=True)

    def tell(self, seconds):
        print(f"{seconds:.0f} s, {self.commands} commands, slowest {self.slowest:.1f} s, "
              f"peak {self.peak >> 20} MiB, {self.bad} otherwise than they should")
        for kind, answers in sorted(self.counts.items()):
            print(f"  {kind}: {sum(answers.values())}: "
                  + ", ".join(f"{answer} {n}" for answer, n in sorted(answers.items())), flush=True)


def same(one, two):
    """Rows equal, bit for bit, but for what says how they were made."""
    return one.num_rows == two.num_rows and all(
        one[name].to_pylist() == two[name].to_pylist() or
        repr(one[name].to_pylist()) == repr(two[name].to_pylist()) for name in one.column_names)


def seeds(corpus):
    found = {kind: list(make()) for kind, make in dict(
        cutouts=cutouts, archives=archives, tables=tables, weights=weights, settings=settings).items()}
    for path in sorted(pathlib.Path(corpus).rglob("*")) if corpus else []:
        name = path.name
        ending = next((e for e in [".fits.gz", ".fits.bz2", ".fits", ".jpg", ".jpeg", ".png", ".csv.gz", ".csv", ".vot",
                                   ".parquet", ".tar", ".pth", ".safetensors", ".toml"] if name.endswith(e)), None)
        if ending is None or not path.is_file() or path.stat().st_size > 2 << 20:
            continue
        kind = {".tar": "archives", ".csv": "tables", ".csv.gz": "tables", ".vot": "tables",
                ".parquet": "tables", ".pth": "weights", ".safetensors": "weights",
                ".toml": "settings"}.get(ending, "cutouts")
        # As often as those that are made here.
        found[kind] += [(name[:-len(ending)].replace(".", "-") + ending, path.read_bytes())] * 4
    return found


def write_seeds(folder, corpus):
    checks = {".tar": "tar", ".csv": "csv", ".tsv": "csv", ".ecsv": "csv", ".vot": "votable",
              ".parquet": "parquet", ".pth": "checkpoint", ".safetensors": "model", ".toml": "settings"}
    for kind, files in seeds(corpus).items():
        for name, bytes_ in files:
            ending = name[name.index("."):]
            check = checks.get(ending, "csv" if ending == ".csv.gz" else
                               "fits_table" if kind == "tables" else "decode")
            for check in ["decode", "twice"] if check == "decode" else [check]:
                path = pathlib.Path(folder) / check / f"{kind}-{name}"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(bytes_)
            if ending == ".pth" and zipfile.is_zipfile(io.BytesIO(bytes_)):
                archive = zipfile.ZipFile(io.BytesIO(bytes_))
                for member in archive.namelist():
                    if member.endswith("data.pkl"):
                        path = pathlib.Path(folder) / "pickle" / name
                        path.parent.mkdir(parents=True, exist_ok=True)
                        path.write_bytes(archive.read(member))
    conditions = pathlib.Path(folder) / "condition"
    conditions.mkdir(parents=True, exist_ok=True)
    for n, text in enumerate(CONDITIONS):
        (conditions / str(n)).write_text(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("seconds")
    parser.add_argument("seed", nargs="?", type=int, default=1)
    parser.add_argument("--corpus")
    parser.add_argument("--only")
    given = parser.parse_args()
    if given.program == "seeds":
        return write_seeds(given.seconds, given.corpus)
    bench = Bench(given.program, given.seed, given.corpus)
    kinds = given.only.split(",") if given.only else KINDS
    began = told = time.monotonic()
    try:
        while (now := time.monotonic()) - began < float(given.seconds):
            bench.step(bench.rng.choice(kinds))
            if now - told > 300:
                told = now
                bench.tell(now - began)
    finally:
        shutil.rmtree(bench.home, ignore_errors=True)
        if bench.made:
            shutil.rmtree(bench.made, ignore_errors=True)
    bench.tell(time.monotonic() - began)
    sys.exit(bench.bad > 0)


main()
