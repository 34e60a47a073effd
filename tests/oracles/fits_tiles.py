"""Tile-compressed images and what they hold, for tests/decode/tiles.rs.

    fits_tiles.py OUT                writes files, pixels and OUT/cases.json
    fits_tiles.py OUT --read F...    pixels of files of three images each

A case is as in decode.py: a file, and its pixels as astropy reads them, as
little-endian float32, planes in the order R, G, B. Files are made by astropy,
or, where it makes none of the kind, by hand of tiles that it compressed.
"""

import io
import json
import struct
import sys
import warnings
from pathlib import Path

import astropy
import numpy as np
from astropy.io import fits

assert astropy.__version__ == "8.0.2", astropy.__version__

OUT = Path(sys.argv[1])
CASES = []
RNG = np.random.default_rng(20261129)
KINDS = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}


def case(name, data, planes=None, **fields):
    planes = read(data) if planes is None else planes
    (OUT / name).write_bytes(data)
    expected = np.ascontiguousarray(planes, dtype="<f4")
    (OUT / f"{name}.bands").write_bytes(expected.tobytes())
    CASES.append({"name": name, "single": name, "bands": f"{name}.bands",
                  "height": expected.shape[1], "width": expected.shape[2], **fields})


def read(data):
    """Planes in the order i, r, g, by astropy's own reading."""
    with fits.open(io.BytesIO(data)) as file:
        images = [h for h in file if h.data is not None]
        assert all(isinstance(h, fits.CompImageHDU) for h in images), "astropy sees no compressed image"
        planes = [np.array(h.data, dtype="f8") for h in images]
    cube = planes[0] if len(planes) == 1 else np.stack(planes)
    with np.errstate(over="ignore"):
        return cube.astype("f4")[::-1]


def image(kind, height, width):
    """Three planes of sky noise and a galaxy, in the range of their type."""
    y, x = np.mgrid[:height, :width]
    r = np.hypot(y - height / 2, x - width / 2)
    noise = RNG.normal(0, 1, (3, height, width))
    flux = noise + 300 * np.exp(-r / (width / 9))
    if kind == "u1":
        return np.clip(20 + flux, 0, 255).astype(kind)
    if kind[0] == "i":
        return (flux * {"i2": 90, "i4": 900_000, "i8": 9e13}[kind]).astype(kind)
    return (0.01 * flux).astype(kind)


def write(data, **how):
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, **how)]).writeto(stream)
    return stream.getvalue()


def matrix():
    """Algorithms, types of pixels, shapes of tiles, sizes."""
    kinds = {"RICE_1": ["u1", "i2", "i4", "f4", "f8"], "GZIP_1": list(KINDS), "GZIP_2": list(KINDS),
             "HCOMPRESS_1": ["u1", "i2", "i4", "f4", "f8"], "PLIO_1": ["u1", "i2", "i4"],
             "NOCOMPRESS": ["u1", "i2", "i4", "i8"]}
    for algorithm, of in kinds.items():
        for height, width in [(17, 23), (131, 255), (64, 4)]:
            shapes = {"rows": (1, 1, width), "blocks": (1, 7, 10), "whole": (1, height, width),
                      "cubes": (2, 5, 9), "columns": (3, height, 1)}
            if algorithm == "HCOMPRESS_1":
                # Edge tiles need four pixels along each axis.
                blocks = (1, 9, 12) if height == 17 else (1, 19, 17)
                shapes = {"whole": (1, height, width), "blocks": blocks, "bands": (1, 20, width)}
            for shape, tile in shapes.items():
                if (width == 4) and shape in ("blocks", "cubes"):
                    continue
                for kind in of:
                    data = image(kind, height, width)
                    if algorithm == "PLIO_1":
                        data = np.where(data > 25, data, 0).clip(0, 1 << 20).astype(kind)
                    case(f"{algorithm}-{kind}-{shape}-{width}x{height}",
                         write(data, compression_type=algorithm, tile_shape=tile))
    for algorithm, kind, size in [("RICE_1", "f4", 1024), ("HCOMPRESS_1", "i2", 1024), ("RICE_1", "i2", 512),
                                  ("GZIP_1", "f4", 512), ("GZIP_2", "i4", 512), ("HCOMPRESS_1", "f4", 512),
                                  ("PLIO_1", "i2", 512)]:
        data = image(kind, size, size)
        if algorithm == "PLIO_1":
            data = np.abs(data)
        how = {"tile_shape": (1, size, size)} if algorithm == "HCOMPRESS_1" else {}
        case(f"{algorithm}-{kind}-large", write(data, compression_type=algorithm, **how))


def floats():
    """Quantisation and dithering; undefined pixels; tiles that do not quantise."""
    for algorithm in ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1"]:
        for kind in ["f4", "f8"]:
            for method in [-1, 1, 2]:
                for seed in [1, 77, 10_000]:
                    data = image(kind, 120, 150)
                    data[:, 40:60, 30:50] = 0
                    data[1, 3:5, 2:9] = np.nan
                    case(f"{algorithm}-{kind}-dither{method}-{seed}", write(
                        data, compression_type=algorithm, quantize_method=method, dither_seed=seed,
                        quantize_level=4.0, tile_shape=(1, 50, 150)))
            data = image(kind, 17, 23)
            data[0, 5, 5] = 1e30
            data[2] = 7
            case(f"{algorithm}-{kind}-unquantised", write(
                data, compression_type=algorithm, tile_shape=(1, 17, 23)))
    for algorithm in ["GZIP_1", "GZIP_2", "NOCOMPRESS"]:
        for kind in ["f4", "f8"]:
            data = image(kind, 17, 23)
            data[1, 3:5, 2:9] = np.nan
            case(f"{algorithm}-{kind}-lossless", write(data, compression_type=algorithm, quantize_level=0.0))


def lossy():
    """HCOMPRESS with coarse coefficients, smoothed and not."""
    for kind in ["u1", "i2", "i4", "f4"]:
        for scale in [1, 2, 5, 30]:
            for smooth in [0, 1]:
                for height, width in [(17, 23), (64, 50), (7, 130)]:
                    data = image(kind, height, width) // 4 if kind != "f4" else image(kind, height, width)
                    case(f"HCOMPRESS_1-{kind}-scale{scale}-smooth{smooth}-{width}x{height}", write(
                        data, compression_type="HCOMPRESS_1", hcomp_scale=scale, hcomp_smooth=smooth,
                        tile_shape=(1, height, width)))


def constants():
    """Tiles of one value are a few bytes long."""
    for algorithm in ["RICE_1", "GZIP_1", "HCOMPRESS_1", "PLIO_1"]:
        for kind in ["u1", "i2", "i4"]:
            data = np.ones((3, 24, 96), kind) * np.array([7, 0, 3], kind)[:, None, None]
            data[1, 3, 4] = 9
            tile = (1, 24, 96) if algorithm == "HCOMPRESS_1" else (1, 1, 96)
            case(f"{algorithm}-{kind}-constant", write(data, compression_type=algorithm, tile_shape=tile))


def scaled():
    """BSCALE, BZERO and BLANK of integers; unsigned integers."""
    for algorithm in ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "NOCOMPRESS"]:
        for kind in ["i2", "i4"]:
            file = write(image(kind, 17, 23), compression_type=algorithm, tile_shape=(1, 17, 23))
            cards = [("BSCALE", 0.5), ("BZERO", -3.25)]
            case(f"{algorithm}-{kind}-scaled", with_cards(file, cards))
            data = image(kind, 17, 23)
            data[:, 2, 3:9] = -999
            file = write(data, compression_type=algorithm, tile_shape=(1, 17, 23))
            case(f"{algorithm}-{kind}-blank", with_cards(file, [*cards, ("BLANK", -999)]))
            case(f"{algorithm}-{kind}-zblank", with_cards(file, [*cards, ("ZBLANK", -999), ("BLANK", -999)]))
        unsigned = RNG.integers(0, 65535, (3, 17, 23)).astype("u2")
        case(f"{algorithm}-u2", write(unsigned, compression_type=algorithm, tile_shape=(1, 17, 23)))


def card(key, value):
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        text = f"'{value:<8}'"
    else:
        text = f"{value!r:>20}".upper()
    return f"{key:<8}= {text}".ljust(80).encode("ascii")


def with_cards(file, cards):
    """The file with records added to the header of its last HDU."""
    end = file.rindex(b"END".ljust(80))
    start = file.rindex(b"XTENSION")
    head = file[start:end]
    data = file[start + -(-(end + 80 - start) // 2880) * 2880 :]
    head += b"".join(card(k, v) for k, v in cards) + b"END".ljust(80)
    return file[:start] + head + b" " * (-len(head) % 2880) + data


def tiles_of(file):
    """Bytes of the compressed tiles of a file, and its other columns."""
    with fits.open(io.BytesIO(file), disable_image_compression=True) as raw:
        return [{name: row[name] for name in raw[1].data.names} for row in raw[1].data], dict(raw[1].header)


def by_hand(shape, kind, algorithm, columns, rows, extra=(), gap=0, tile=None):
    """A file of a table of tiles. `columns` are names and forms; a row has the
    bytes of an array, or a number."""
    letters = {"B": 1, "I": 2, "J": 4, "E": 4, "D": 8, "K": 8}
    table, heap = b"", b""
    for row in rows:
        for name, form in columns:
            value = row[name]
            if form[1] in "PQ":
                value = bytes(value)
                pair = len(value) // letters[form[2]], len(heap) if value else 0
                table += struct.pack(">ii" if form[1] == "P" else ">qq", *pair)
                heap += value
            else:
                table += np.array(value).astype({"D": ">f8", "E": ">f4", "J": ">i4"}[form[1]]).tobytes()
    cards = [b"XTENSION= 'BINTABLE'".ljust(80), card("BITPIX", 8), card("NAXIS", 2),
             card("NAXIS1", len(table) // len(rows)), card("NAXIS2", len(rows)),
             card("PCOUNT", gap + len(heap)), card("GCOUNT", 1), card("TFIELDS", len(columns))]
    for n, (name, form) in enumerate(columns):
        cards += [card(f"TTYPE{n + 1}", name), card(f"TFORM{n + 1}", form)]
    if gap:
        cards.append(card("THEAP", len(table) + gap))
    cards += [card("ZIMAGE", True), card("ZCMPTYPE", algorithm), card("ZBITPIX", KINDS[kind]), card("ZNAXIS", 3)]
    cards += [card(f"ZNAXIS{n + 1}", length) for n, length in enumerate(shape[::-1])]
    if tile:
        cards += [card(f"ZTILE{n + 1}", length) for n, length in enumerate(tile[::-1])]
    cards += [card(k, v) for k, v in extra] + [b"END".ljust(80)]
    head = b"".join(cards)
    body = table + b"\xAA" * gap + heap
    pad = lambda b, fill: b + fill * (-len(b) % 2880)
    primary = pad(b"".join([card("SIMPLE", True), card("BITPIX", 8), card("NAXIS", 0), b"END".ljust(80)]), b" ")
    return primary + pad(head, b" ") + pad(body, b"\0")


def made_by_hand():
    """What astropy reads and never writes."""
    shape, tile = (3, 17, 23), (1, 17, 23)
    longs, floats = image("i4", 17, 23), image("f4", 17, 23)
    rice, header = tiles_of(write(longs, compression_type="RICE_1"))
    compressed = [("COMPRESSED_DATA", "1PB")]
    rows = [{"COMPRESSED_DATA": row["COMPRESSED_DATA"]} for row in rice]
    line = (1, 1, 23)
    # By default a block is of 32 values, a value of four bytes, and a tile is
    # a row, which cfitsio knows and astropy does not.
    case("defaults", by_hand(shape, "i4", "RICE_1", compressed, rows), longs[::-1].astype("f4"))
    case("rice-one", by_hand(shape, "i4", "RICE_ONE", compressed, rows, tile=line))
    case("gap", by_hand(shape, "i4", "RICE_1", compressed, rows, gap=97, tile=line))
    case("wide-descriptors", by_hand(shape, "i4", "RICE_1", [("COMPRESSED_DATA", "1QB")], rows, tile=line))
    swapped = [("ZNAME1", "BYTEPIX"), ("ZVAL1", 4), ("ZNAME2", "BLOCKSIZE"), ("ZVAL2", 32)]
    case("swapped-parameters", by_hand(shape, "i4", "RICE_1", compressed, rows, swapped, tile=line))
    # Bytes and words in codes of four bytes.
    for kind in ["u1", "i2"]:
        small = image(kind, 17, 23)
        tiles, _ = tiles_of(write(small.astype("i4"), compression_type="RICE_1"))
        case(f"rice-four-bytes-{kind}", by_hand(shape, kind, "RICE_1", compressed, tiles, tile=line))
        tiles, _ = tiles_of(write(small.astype("i4"), compression_type="GZIP_1", tile_shape=tile))
        case(f"gzip-four-bytes-{kind}", by_hand(shape, kind, "GZIP_1", compressed, tiles, tile=tile))
    # Tiles kept whole: gzipped or not, floats or integers.
    for kind, data in [("f4", floats), ("f8", floats.astype("f8") * np.pi), ("i4", longs), ("i2", image("i2", 17, 23))]:
        algorithm = "RICE_1"
        quantised = kind[0] == "f"
        source = data.copy()
        tiles, header = tiles_of(write(source, compression_type=algorithm, tile_shape=tile))
        letter = {"f4": "E", "f8": "D", "i4": "J", "i2": "I"}[kind]
        columns = [("COMPRESSED_DATA", "1PB"), ("UNCOMPRESSED_DATA", f"1P{letter}")]
        if quantised:
            columns += [("ZSCALE", "1D"), ("ZZERO", "1D")]
        names = [(k, v) for k, v in header.items() if k.startswith(("ZNAME", "ZVAL"))]
        rows = [dict(row, UNCOMPRESSED_DATA=b"") for row in tiles]
        rows[1] = dict(rows[1], COMPRESSED_DATA=b"",
                       UNCOMPRESSED_DATA=data[1].astype(data.dtype.newbyteorder(">")).tobytes())
        case(f"uncompressed-{kind}", by_hand(shape, kind, algorithm, columns, rows, names, tile=tile))
    # ZBLANK as a column, ZSCALE in single precision.
    blank = floats.copy()
    blank[1, 3:5, 2:9] = np.nan
    tiles, _ = tiles_of(write(blank, compression_type="GZIP_1", tile_shape=tile))
    columns = [("COMPRESSED_DATA", "1PB"), ("GZIP_COMPRESSED_DATA", "1PB"), ("ZSCALE", "1E"), ("ZZERO", "1E"),
               ("ZBLANK", "1J")]
    rows = [dict(row, ZBLANK=-2147483648) for row in tiles]
    case("blank-column", by_hand(shape, "f4", "GZIP_1", columns, rows, tile=tile))
    case("blank-keyword", by_hand(shape, "f4", "GZIP_1", columns[:4], rows, [("BLANK", -2147483648)], tile=tile))


def read_files(paths):
    for path in map(Path, paths):
        case(path.name, path.read_bytes())


if len(sys.argv) == 2:
    matrix()
    floats()
    lossy()
    constants()
    scaled()
    made_by_hand()
else:
    read_files(sys.argv[3:])
(OUT / "cases.json").write_text(json.dumps(CASES, indent=1))
print(len(CASES))
