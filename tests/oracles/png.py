"""PNGs of every kind, whole and damaged, and what Pillow reads of each.

`png.py FOLDER` writes them and prints JSON: a list of {file, width, height,
rgb, must, tolerance}. `rgb` is the file with the pixels, alpha left aside, or
null where Pillow gives none; `must` whether a decoder worth its name reads it."""
import io
import itertools
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin

OUT = Path(sys.argv[1])
RNG = np.random.default_rng(1996)
CASES = []
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
HEIGHT, WIDTH = 13, 19


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(depth, colour, interlace=0, width=WIDTH, height=HEIGHT, compression=0, filtering=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, compression, filtering, interlace))


def raw(samples, depth, interlace=0, filters=None):
    """Scan lines with filter bytes; only filter 0 changes nothing."""
    def lines(part):
        for row in part:
            flat = row.ravel()
            if depth == 16:
                line = flat.astype(">u2").tobytes()
            else:
                bits = "".join(f"{v:0{depth}b}" for v in flat)
                bits += "0" * (-len(bits) % 8)
                line = int(bits, 2).to_bytes(len(bits) // 8, "big")
            yield bytes([0 if filters is None else next(filters)]) + line

    parts = [samples[y::dy, x::dx] for y, x, dy, dx in PASSES] if interlace else [samples]
    return b"".join(line for part in parts if part.size for line in lines(part))


def png(depth, colour, interlace=0, before=b"", middle=b"", after=b"", samples=None, filters=None, data=None):
    if samples is None:
        samples = RNG.integers(0, 2**depth, (HEIGHT, WIDTH, CHANNELS[colour]))
    packed = zlib.compress(raw(samples, depth, interlace, filters)) if data is None else data
    half = len(packed) // 2
    idat = chunk(b"IDAT", packed[:half]) + middle + chunk(b"IDAT", packed[half:])
    return SIGNATURE + header(depth, colour, interlace) + before + idat + after + chunk(b"IEND")


def palette(entries=256):
    return chunk(b"PLTE", RNG.integers(0, 256, 3 * entries).astype("u1").tobytes())


def decoded(data):
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
        if image.mode.startswith("I"):
            grey = np.floor(np.asarray(image).astype("f8") * 255 / 65535 + 0.5).astype("u1")
            return np.repeat(grey[..., None], 3, axis=2)
        # Colours under transparent pixels stay: alpha marks coverage here.
        image.info.pop("transparency", None)
        return np.asarray(image.convert("RGB"))
    except Exception:  # noqa: BLE001 whatever Pillow raises, it does not read it
        return None


def case(name, data, must=False, tolerance=0):
    pixels = decoded(data)
    assert pixels is not None or not must, name
    name = name.replace(" ", "_")
    (OUT / f"{name}.png").write_bytes(data)
    entry = {"file": f"{name}.png", "must": must, "tolerance": tolerance, "rgb": None}
    if pixels is not None:
        (OUT / f"{name}.rgb").write_bytes(pixels.tobytes())
        entry |= {"rgb": f"{name}.rgb", "width": pixels.shape[1], "height": pixels.shape[0]}
    CASES.append(entry)


def kinds():
    for colour, depths in [(0, [1, 2, 4, 8, 16]), (2, [8, 16]), (3, [1, 2, 4, 8]), (4, [8, 16]), (6, [8, 16])]:
        for depth, interlace in itertools.product(depths, [0, 1]):
            yield colour, depth, interlace


def whole():
    ancillary = {
        "plain": b"", "gamma": chunk(b"gAMA", struct.pack(">I", 45455)), "odd gamma": chunk(b"gAMA", struct.pack(">I", 100000)),
        "sRGB": chunk(b"sRGB", b"\0"), "chromaticities": chunk(b"cHRM", struct.pack(">8I", *[31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000])),
        "text": chunk(b"tEXt", b"Comment\0a galaxy"), "profile": chunk(b"iCCP", b"name\0\0" + zlib.compress(b"no profile")),
        "physical": chunk(b"pHYs", struct.pack(">IIB", 2835, 2835, 1)), "unknown": chunk(b"abCd", b"whatever"),
    }
    for colour, depth, interlace in kinds():
        plte = palette(2**depth) if colour == 3 else b""
        name = f"{colour}-{depth}{'-interlaced' if interlace else ''}"
        # Pillow takes the high byte of 16 bits; here they are rounded.
        tolerance = 1 if depth == 16 else 0
        for what, extra in ancillary.items():
            case(f"{name} {what}", png(depth, colour, interlace, before=extra + plte), must=True, tolerance=tolerance)
        transparent = {0: struct.pack(">H", 0), 2: struct.pack(">3H", 1, 0, 1), 3: bytes([0, 128][: 2**depth])}.get(colour)
        if transparent:
            case(f"{name} transparent", png(depth, colour, interlace, before=plte + chunk(b"tRNS", transparent)),
                 must=True, tolerance=tolerance)
        if depth >= 8:
            filters = itertools.cycle([0, 1, 2, 3, 4])
            case(f"{name} filters", png(depth, colour, interlace, before=plte, filters=filters), must=True, tolerance=tolerance)
    for height, width in [(1, 1), (1, 9), (9, 1), (3, 2), (5, 5)]:
        samples = RNG.integers(0, 256, (height, width, 3))
        for interlace in [0, 1]:
            data = SIGNATURE + header(8, 2, interlace, width, height) + chunk(b"IDAT", zlib.compress(raw(samples, 8, interlace)))
            case(f"{width}x{height} {interlace}", data + chunk(b"IEND"), must=True)


def broken():
    for colour, depth, interlace in [(2, 8, 0), (2, 8, 1), (3, 8, 0), (3, 4, 0), (0, 16, 0), (6, 8, 0)]:
        plte = palette(2**depth) if colour == 3 else b""
        samples = RNG.integers(0, 2**depth, (HEIGHT, WIDTH, CHANNELS[colour]))
        lines = raw(samples, depth, interlace)
        packed = zlib.compress(lines)
        make = lambda **how: png(depth, colour, interlace, **{"before": plte, "samples": samples} | how)
        name = f"{colour}-{depth}-{interlace}"
        good = make()
        case(f"{name} whole", good, must=True, tolerance=1 if depth == 16 else 0)
        for what, data in {
            "wrong adler": packed[:-1] + bytes([packed[-1] ^ 1]), "no adler": packed[:-4], "short": zlib.compress(lines[:-20]),
            "one row short": zlib.compress(lines[: len(lines) - len(lines) // HEIGHT]), "long": zlib.compress(lines + bytes(50)),
            "junk after zlib": packed + b"junk", "no zlib": b"junk" * 20, "empty": b"", "cut": packed[: len(packed) * 2 // 3],
            "filter 5": zlib.compress(b"\x05" + lines[1:]), "filter 200": zlib.compress(b"\xc8" + lines[1:]),
        }.items():
            case(f"{name} {what}", make(data=data))
        for what, how in {
            "text between": {"middle": chunk(b"tEXt", b"a\0b")}, "palette after": {"after": palette()},
            "unknown critical": {"before": plte + chunk(b"ABCD", b"x")}, "two headers": {"before": header(depth, colour, interlace) + plte},
            "no palette": {"before": b""}, "small palette": {"before": palette(3) if colour == 3 else b""},
            "empty palette": {"before": chunk(b"PLTE")}, "odd palette": {"before": chunk(b"PLTE", bytes(10))},
            "bad transparency": {"before": plte + chunk(b"tRNS", bytes(300))},
            "broken profile": {"before": chunk(b"iCCP", b"name\0\0garbage") + plte}, "zero gamma": {"before": chunk(b"gAMA", bytes(4)) + plte},
        }.items():
            case(f"{name} {what}", make(**how))
        case(f"{name} no end", good[:-12])
        case(f"{name} junk after", good + b"junk")
        case(f"{name} ancillary crc", make(before=plte + chunk(b"gAMA", struct.pack(">I", 45455))[:-1] + b"\0"))
        case(f"{name} twice", good + good)
        for at in range(8, len(good), max(1, len(good) // 120)):
            case(f"{name} flipped at {at}", good[:at] + bytes([good[at] ^ (1 << int(RNG.integers(8)))]) + good[at + 1 :])
            case(f"{name} cut at {at}", good[:at])
            case(f"{name} lost at {at}", good[:at] + good[at + 1 :])
    for depth, colour in [(3, 0), (16, 3), (4, 2), (8, 1), (8, 5), (8, 7)]:
        case(f"depth {depth} of colour {colour}", SIGNATURE + header(depth, colour) + palette() + chunk(b"IDAT", zlib.compress(bytes(2000))) + chunk(b"IEND"))
    for how in [{"compression": 1}, {"filtering": 1}, {"interlace": 2}, {"width": 0}, {"height": 0}]:
        case(f"header {how}".translate(str.maketrans("", "", "{}':")), SIGNATURE + header(8, 2, **how) + chunk(
            b"IDAT", zlib.compress(raw(RNG.integers(0, 256, (HEIGHT, WIDTH, 3)), 8))) + chunk(b"IEND"))


whole()
broken()
json.dump(CASES, sys.stdout)
