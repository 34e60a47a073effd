"""Odd images and what they hold, for tests/decode.rs.

    decode.py OUT            writes images, expected pixels and OUT/cases.json
    decode.py OUT FITS_DIR   colours of real g, r, i images, one file a band
    decode.py OUT --jpeg F.. pixels of real JPEGs

A case names its files, the options that differ from the default, and either
the reason of the rejection or a raw file of expected pixels: `bands` as
little-endian float32, planes in the order R, G, B, rows as FITS has them, or
`rgb` as bytes, top row first. Expected values come from numpy, astropy and
Pillow, never from the program under test.
"""

import bz2
import functools
import gzip
import io
import json
import struct
import sys
import warnings
import zlib
from pathlib import Path
from unittest import mock

import astropy
import numpy as np
import PIL
from astropy.io import fits
from astropy.visualization import make_lupton_rgb
from astropy.wcs import WCS
from PIL import Image

assert astropy.__version__ == "8.0.2", astropy.__version__
assert np.__version__ == "2.4.6", np.__version__
assert PIL.__version__ == "13.0.0", PIL.__version__

OUT = Path(sys.argv[1])
CASES = []
RNG = np.random.default_rng(20261123)
W, H = 23, 17


def save(name, data):
    (OUT / name).write_bytes(data)
    return name


def case(name, files, **fields):
    """`files`: bytes of one file, or a dict of band to bytes."""
    if isinstance(files, dict):
        named = {band: save(f"{name}.{band}", data) for band, data in files.items()}
        fields["per_band"] = named
    else:
        fields["single"] = save(name, files)
    if "bands" in fields:
        planes = np.ascontiguousarray(fields["bands"], dtype="<f4")
        fields["height"], fields["width"] = planes.shape[1:]
        fields["bands"] = save(f"{name}.bands", planes.tobytes())
    if "rgb" in fields:
        pixels = np.ascontiguousarray(fields["rgb"], dtype=np.uint8)
        fields["height"], fields["width"] = pixels.shape[:2]
        fields["rgb"] = save(f"{name}.rgb", pixels.tobytes())
    CASES.append({"name": name, **fields})


# --- FITS, written by hand so that every keyword is ours ---------------------


def card(key, value):
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        text = f"'{value:<8}'"
    elif isinstance(value, float):
        text = f"{value!r:>20}".upper()
    else:
        text = f"{value:>20}"
    return f"{key:<8}= {text}".ljust(80).encode("ascii")


def hdu(data, extra=(), first=True, axes=None):
    """One HDU of a big-endian copy of `data`, or of a header alone."""
    kinds = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}
    cards = [card("SIMPLE", True) if first else b"XTENSION= 'IMAGE   '".ljust(80)]
    shape = [] if data is None else list(data.shape[::-1])
    cards.append(card("BITPIX", 8 if data is None else kinds[data.dtype.str[1:]]))
    shape = shape if axes is None else axes
    cards.append(card("NAXIS", len(shape)))
    cards += [card(f"NAXIS{n + 1}", int(length)) for n, length in enumerate(shape)]
    if not first:
        cards += [card("PCOUNT", 0), card("GCOUNT", 1)]
    cards += [card(key, value) for key, value in extra]
    cards.append(b"END".ljust(80))
    head = b"".join(cards)
    body = b"" if data is None else data.astype(data.dtype.newbyteorder(">")).tobytes()
    pad = lambda b, fill: b + fill * (-len(b) % 2880)
    return pad(head, b" ") + pad(body, b"\0")


def flux(*shape):
    """Sky noise around zero with a bright centre, as a cutout has."""
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    r = np.hypot(y - shape[-2] / 2, x - shape[-1] / 2)
    return (RNG.normal(0, 0.3, shape) + 40 * np.exp(-r / 3)).astype(np.float32)


def astropy_agrees(data, planes):
    """The expected values, by astropy's own reading of the first cube."""
    with fits.open(io.BytesIO(data)) as file:
        image = next(h for h in file if h.data is not None and h.data.ndim >= 3)
        read = np.asarray(image.data, dtype=np.float64).reshape(planes.shape)
    assert np.allclose(read, planes, rtol=1e-6, atol=1e-6, equal_nan=True)


def fits_layouts():
    cube = flux(3, H, W)
    g, r, i = cube
    irg = [i, r, g]
    blank = cube.copy()
    blank[1, 3:5, 2:9] = np.nan

    case("cube", hdu(cube), bands=irg)
    case("cube-nan", hdu(blank), bands=blank[::-1])
    case("cube-negative", hdu(-abs(cube)), bands=-abs(cube)[::-1])
    case("cube-second-hdu", hdu(None) + hdu(cube, first=False), bands=irg)
    case("cube-bands", hdu(cube, [("BANDS", "irg")]), bands=cube)
    case("cube-bands-list", hdu(cube, [("BANDS", "i, g, r")]), bands=[g, i, r])
    case("cube-band-n", hdu(cube, [("BAND0", "r"), ("BAND1", "i"), ("BAND2", "g")]), bands=[r, g, i])
    case("cube-legacy", hdu(cube, [("BANDS", "grz"), ("BAND0", "g"), ("BAND1", "r"), ("BAND2", "z")]),
         options={"bands": ["z", "r", "g"]}, bands=irg)
    case("cube-degenerate-axis", hdu(cube[None]), bands=irg)
    case("cube-with-extras", hdu(cube) + hdu(abs(cube), [("EXTNAME", "INVVAR")], first=False)
         + hdu((cube[0] > 0).astype("i2"), [("EXTNAME", "MASKBITS")], first=False), bands=irg)
    five = flux(5, H, W)
    case("cube-five-named", hdu(five, [("BANDS", "ugriz")]), bands=five[[3, 2, 1]])
    case("cube-five-by-option", hdu(five), options={"cube_bands": ["u", "g", "r", "i", "z"]},
         bands=five[[3, 2, 1]])
    case("cube-unpadded", hdu(cube)[: 2880 + cube.nbytes], bands=irg)
    case("cube-garbage-after", hdu(cube) + b"not an extension" * 40, bands=irg)

    def hdus(names, key="EXTNAME"):
        planes = {"g": g, "r": r, "i": i}
        return hdu(None) + b"".join(
            hdu(planes[n.lower()[-1]], [(key, n)], first=False) for n in names)

    case("hdus-extname", hdus("rig"), bands=irg)
    case("hdus-upper-case", hdus("GRI"), bands=irg)
    case("hdus-filter", hdus("igr", "FILTER"), bands=irg)
    case("hdus-band", hdus("gir", "BAND"), bands=irg)
    case("hdus-anonymous", hdu(g) + hdu(r, first=False) + hdu(i, first=False), bands=irg)
    case("hdus-with-masks", hdu(None) + b"".join(
        hdu(p, [("EXTNAME", n)], first=False) + hdu(abs(p), [("EXTNAME", "INVVAR_" + n)], first=False)
        for n, p in zip("gri", cube)), bands=irg)

    files = {n: hdu(p) for n, p in zip("gri", cube)}
    case("per-band", files, bands=irg)
    case("per-band-one-plane-cubes", {n: hdu(p[None]) for n, p in zip("gri", cube)}, bands=irg)
    case("per-band-gzip", {n: gzip.compress(f) for n, f in files.items()}, bands=irg)
    case("per-band-extra-file", {**files, "z": files["g"]}, bands=irg)
    packed = gzip.compress(hdu(cube))
    case("gzip", packed, bands=irg)
    case("gzip-members", gzip.compress(hdu(cube)[:1000]) + gzip.compress(hdu(cube)[1000:]), bands=irg)

    packed_otherwise = bz2.compress(hdu(cube))
    case("bzip2", packed_otherwise, bands=irg)
    case("per-band-bzip2", {n: bz2.compress(f) for n, f in files.items()}, bands=irg)
    case("bzip2-cut", packed_otherwise[:-9], reason="truncated")
    case("bzip2-of-text", bz2.compress(b"some text"), reason="unsupported")
    case("bzip2-bomb", bz2.compress(b"SIMPLE  =" + bytes(300 << 20)), reason="too_large")
    fits_bands(cube)

    # Rejections.
    case("one-plane", hdu(g), reason="missing_band")
    case("two-planes", hdu(cube[:2]), reason="missing_band")
    case("five-planes-unnamed", hdu(five), reason="unsupported")
    case("cube-other-bands", hdu(cube, [("BANDS", "ugr")]), reason="missing_band")
    case("hdus-missing-band", hdus("gr"), reason="missing_band")
    case("hdus-other-bands", hdu(None) + b"".join(
        hdu(p, [("EXTNAME", n)], first=False) for n, p in zip("yjh", cube)), reason="missing_band")
    case("one-axis", hdu(g[0]), reason="unsupported")
    case("four-axes", hdu(np.stack([cube, cube])), reason="unsupported")
    case("no-image", hdu(None), reason="unsupported")
    case("empty-axis", hdu(None, axes=[0, 5, 3]), reason="unsupported")
    case("huge", hdu(None, axes=[60000, 60000, 3]), reason="too_large")
    case("huge-product", hdu(None, axes=[16000, 16000, 3]), reason="too_large")
    case("huge-overflow", hdu(None, axes=[2**62, 2**62]), reason="too_large")
    case("all-nan", hdu(np.full((3, H, W), np.nan, "f4")), reason="no_data")
    one = cube.copy()
    one[2] = np.nan
    case("one-band-nan", hdu(one), reason="no_data")
    counts = RNG.integers(1, 1000, (3, H, W)).astype("i2")
    case("absurd-bscale", hdu(counts, [("BSCALE", 1e300)]), reason="no_data")
    case("bscale-zero", hdu(counts, [("BSCALE", 0.0)]), bands=np.zeros((3, H, W)))
    case("bad-bitpix", hdu(cube).replace(b"                 -32", b"                 -31"), reason="corrupt")
    case("bad-naxis", hdu(cube).replace(b"NAXIS1  =                   23", b"NAXIS1  =                  -23"),
         reason="corrupt")
    case("per-band-sizes", {**files, "g": hdu(g[:, :-1])}, reason="corrupt")
    case("hdus-sizes", hdu(None) + b"".join(
        hdu(p, [("EXTNAME", n)], first=False) for n, p in zip("gri", [g, r[1:], i])), reason="corrupt")
    case("per-band-missing", {n: files[n] for n in "gr"}, reason="missing_band")
    case("per-band-cube", {**files, "r": hdu(cube)}, reason="unsupported")
    case("per-band-text", {**files, "r": b"<html>"}, reason="not_an_image")
    case("per-band-empty", {**files, "r": b""}, reason="empty")
    case("per-band-truncated", {**files, "r": files["r"][:4000]}, reason="truncated")
    case("cut-before-third-hdu", hdus("gri")[:-5760], reason="missing_band")
    case("cut-in-third-hdu", hdus("gri")[:-2880], reason="truncated")
    case("cut-in-header", hdu(cube)[:300], reason="truncated")
    case("cut-in-data", hdu(cube)[: 2880 + cube.nbytes - 1], reason="truncated")
    case("gzip-cut", packed[:-9], reason="truncated")
    case("gzip-of-text", gzip.compress(b"some text"), reason="unsupported")
    case("gzip-cut-inside", gzip.compress(hdu(cube)[:4000]), reason="truncated")
    case("gzip-bomb", gzip.compress(b"SIMPLE  =" + bytes(300 << 20), 9), reason="too_large")


def fits_bands(cube):
    """Bands that a file names oddly, twice, or in doubt."""
    g, r, i = cube
    irg = [i, r, g]
    mask = (cube[0] > 0).astype("i2")

    def hdus(*images):
        return hdu(None) + b"".join(hdu(p, keys, first=False) for p, keys in images)

    def one(key, names="gri"):
        return [(p, [(key, n)]) for p, n in zip([g, r, i], names)]

    compressed = ("EXTNAME", "COMPRESSED_IMAGE")
    case("bands-double-extname", hdus(*[(p, [compressed, ("EXTNAME", n)]) for p, n in zip(irg, "irg")]), bands=irg)
    case("bands-two-extnames", hdus((g, [("EXTNAME", "g"), ("EXTNAME", "r")]), *one("EXTNAME")[1:]), reason="corrupt")
    case("bands-lower-case-keyword", hdus(*one("extname", "irg")), reason="corrupt")
    case("bands-mask-first", hdus((mask, [("EXTNAME", "MASK"), ("FILTER", "r")]),
                                  *[(p, [("EXTNAME", "SCI"), *k]) for p, k in one("FILTER")]), bands=irg)
    case("bands-weight-cube-first", hdus((abs(cube), [("EXTNAME", "INVVAR"), ("BANDS", "irg")]),
                                         (cube, [("BANDS", "gri")])), bands=irg)
    case("bands-all-masks", hdus(*[(mask, [("EXTNAME", "MASK_" + n)]) for n in "gri"]), reason="unsupported")
    case("bands-hdu-twice", hdus(*one("EXTNAME"), (r, [("EXTNAME", "r")])), reason="unsupported")
    case("bands-two-names", hdus((g, [("EXTNAME", "g"), ("FILTER", "r")]), *one("EXTNAME")[1:]), reason="corrupt")
    case("bands-hdus-and-cube", hdus(*one("EXTNAME"), (cube, [("BANDS", "irg")])), reason="unsupported")
    case("bands-other-types", hdus((g, []), (mask, []), (i, [])), reason="unsupported")
    versions = lambda *n: hdus(*[(p, [("EXTNAME", "SCI"), ("EXTVER", v)]) for p, v in zip([g, r, i], n)])
    case("bands-versions", versions(1, 2, 3), bands=irg)
    case("bands-versions-reversed", versions(3, 2, 1), reason="unsupported")

    case("bands-rgb", hdu(cube, [("CTYPE3", "RGB")]), bands=cube)
    case("bands-rgb-named", hdu(cube, [("CTYPE3", "RGB"), ("BANDS", "gri")]), bands=irg)
    case("bands-rgb-bytes", hdu(np.abs(cube).astype("u1"), [("CTYPE3", "RGB")]), reason="unsupported")
    for axis, step, seen in [("WAVE", 1.0, True), ("WAVE", -1.0, False), ("FREQ", -1.0, True), ("FREQ", 1.0, False),
                             ("FREQ", None, False), ("STOKES", 1.0, False), ("BAND", 1.0, True)]:
        keys = [("CTYPE3", axis)] + ([] if step is None else [("CDELT3", step)])
        told = {"bands": irg} if seen else {"reason": "unsupported"}
        case(f"bands-axis-{axis}-{step}", hdu(cube, keys), **told)
    case("bands-from-one", hdu(cube, [("BAND1", "i"), ("BAND2", "r"), ("BAND3", "g")]), bands=cube)
    case("bands-filters", hdu(cube, [("FILTER1", "i"), ("FILTER2", "r"), ("FILTER3", "g")]), bands=cube)
    case("bands-filter-list", hdu(cube, [("FILTER", "i,r,g")]), bands=cube)
    case("bands-filter-wheel", hdu(cube, [("FILTER1", 4), ("FILTER2", 2)]), bands=irg)
    case("bands-some-named", hdu(cube, [("BAND0", "i"), ("BAND1", "r")]), reason="corrupt")
    case("bands-too-few", hdu(cube, [("BANDS", "ir")]), reason="corrupt")
    case("bands-contradict", hdu(cube, [("BANDS", "irg"), ("BAND0", "g"), ("BAND1", "r"), ("BAND2", "i")]),
         reason="corrupt")
    case("bands-plane-twice", hdu(cube, [("BANDS", "irr")]), reason="unsupported")
    case("bands-one-for-all", hdu(cube, [("FILTER", "r")]), reason="unsupported")
    case("bands-two-cubes", hdus((cube, []), (cube, [])), reason="unsupported")
    case("bands-two-cubes-one-named", hdus((cube, []), (cube, [("BANDS", "irg")])), bands=cube)
    case("bands-continued", hdu(cube, [("BANDS", "i&")]).replace(
        b"END".ljust(80), b"CONTINUE  'rg'".ljust(80) + b"END".ljust(80)).replace(b" " * 80, b"", 1), bands=cube)

    files = {n: hdu(p) for n, p in zip("gri", [g, r, i])}
    case("bands-file-of-another", {**files, "r": hdu(r, [("FILTER", "g")])}, reason="missing_band")
    case("bands-file-named", {n: hdu(p, [("FILTER", n)]) for n, p in zip("gri", [g, r, i])}, bands=irg)
    case("bands-file-mask-first", {**files, "r": hdus((mask, [("EXTNAME", "DQ")]), (r, []))}, bands=irg)
    case("bands-file-of-all", {n: hdus(*one("EXTNAME")) for n in "gri"}, bands=irg)
    case("bands-file-in-doubt", {**files, "r": hdus((r, []), (g, []))}, reason="unsupported")
    case("bands-file-with-science", {**files, "r": hdus((g, []), (r, [("EXTNAME", "SCI")]))}, bands=irg)
    case("simple-is-f", hdu(cube).replace(b"                   T", b"                   F", 1), reason="unsupported")


def fits_numbers():
    for kind, low, high in [("u1", 0, 255), ("i2", -32768, 32767), ("i4", -2**31, 2**31 - 1),
                            ("i8", -2**62, 2**62)]:
        data = RNG.integers(low, high, (3, H, W), endpoint=True).astype(kind)
        file = hdu(data)
        astropy_agrees(file, data.astype("f8"))
        case(f"bitpix-{kind}", file, bands=data[::-1].astype("f8").astype("f4"))
    data = flux(3, H, W).astype("f8") * np.pi
    case("bitpix-f8", hdu(data), bands=data[::-1].astype("f4"))
    wide = data.copy()
    wide[0, 0, :3] = [1e300, -1e300, np.inf]
    expected = wide.copy()
    expected[0, 0, :3] = np.nan
    case("f8-beyond-f4", hdu(wide), bands=expected[::-1].astype("f4"))

    counts = RNG.integers(-1000, 1000, (3, H, W)).astype("i2")
    scaled = counts.astype("f8") * 0.0123 + 4.5
    file = hdu(counts, [("BSCALE", 0.0123), ("BZERO", 4.5)])
    astropy_agrees(file, scaled)
    case("scaled-i2", file, bands=scaled[::-1].astype("f4"))
    holes = scaled.copy()
    counts[:, 2, 3:9] = -999
    holes[:, 2, 3:9] = np.nan
    holes[counts == -999] = np.nan
    file = hdu(counts, [("BSCALE", 0.0123), ("BZERO", 4.5), ("BLANK", -999)])
    astropy_agrees(file, holes)
    case("blank-i2", file, bands=holes[::-1].astype("f4"))
    file = file.replace(b"              0.0123", b"             1.23D-2")
    case("exponent-d", file, bands=holes[::-1].astype("f4"))
    case("exponent-lower-d", file.replace(b"1.23D-2", b"1.23d-2"), bands=holes[::-1].astype("f4"))
    case("scale-as-text", file.replace(b"             1.23D-2", b"'1.23D-2'           "), reason="corrupt")
    case("scale-twice", file.replace(b"BZERO  ", b"BSCALE "), reason="corrupt")
    case("blank-as-float", file.replace(b"                -999", b"              -999.0"), reason="corrupt")
    unsigned = RNG.integers(0, 65535, (3, H, W)).astype("u2")
    case("unsigned-u2", hdu((unsigned.astype("i4") - 32768).astype("i2"), [("BZERO", 32768)]),
         bands=unsigned[::-1].astype("f4"))
    unsigned = RNG.integers(0, 2**32 - 1, (3, H, W)).astype("u4")
    case("unsigned-u4", hdu((unsigned.astype("i8") - 2**31).astype("i4"), [("BZERO", 2**31)]),
         bands=unsigned[::-1].astype("f8").astype("f4"))
    signed = RNG.integers(-128, 127, (3, H, W)).astype("i1")
    case("signed-bytes", hdu((signed.astype("i2") + 128).astype("u1"), [("BZERO", -128)]),
         bands=signed[::-1].astype("f4"))
    floats = flux(3, H, W)
    case("scaled-f4", hdu(floats, [("BSCALE", 2.0), ("BZERO", -1.0)]),
         bands=(floats[::-1].astype("f8") * 2 - 1).astype("f4"))


def fits_compressed():
    def write(data, named=False, **how):
        if named:
            images = [fits.CompImageHDU(p, name=n, **how) for n, p in zip("gri", data)]
        else:
            images = [fits.CompImageHDU(data, **how)]
        stream = io.BytesIO()
        fits.HDUList([fits.PrimaryHDU(), *images]).writeto(stream)
        data = stream.getvalue()
        with fits.open(io.BytesIO(data)) as file:
            planes = np.stack([np.asarray(h.data) for h in file[1:]]) if named else file[1].data.copy()
        return data, planes.reshape(3, H, W).astype("f8").astype("f4")[::-1]

    floats = flux(3, H, W)
    blank = floats.copy()
    blank[1, 3:5, 2:9] = np.nan
    shorts = RNG.integers(-3000, 3000, (3, H, W)).astype("i2")
    longs = RNG.integers(-3000000, 3000000, (3, H, W)).astype("i4")
    octets = RNG.integers(0, 255, (3, H, W)).astype("u1")
    for kind in ["RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1"]:
        how = {"compression_type": kind}
        if kind == "HCOMPRESS_1":
            how["tile_shape"] = (1, H, W)
        for name, data in [("u1", octets), ("i2", shorts), ("i4", longs), ("f4", floats), ("nan", blank)]:
            file, planes = write(data, **how)
            case(f"tiled-{kind}-{name}", file, bands=planes)
        file, planes = write(shorts, **{**how, "tile_shape": (1, 6, 8)})
        case(f"tiled-{kind}-tiles", file, bands=planes)
        if kind != "HCOMPRESS_1":
            file, planes = write(floats, named=True, **how)
            case(f"tiled-{kind}-hdus", file, bands=planes)
    for method in [1, 2, -1]:
        file, planes = write(floats, compression_type="RICE_1", quantize_method=method, dither_seed=77)
        case(f"tiled-dither{method}", file, bands=planes)
    for kind in ["GZIP_1", "GZIP_2"]:
        for name, data in [("f4", blank), ("f8", floats.astype("f8") * np.pi)]:
            file, planes = write(data, compression_type=kind, quantize_level=0.0)
            case(f"tiled-lossless-{kind}-{name}", file, bands=planes)
    # One pixel in a tile is enormous: that tile is stored unquantised.
    uneven = floats.copy()
    uneven[0, 5, 5] = 1e30
    file, planes = write(uneven, compression_type="RICE_1")
    case("tiled-unquantised-tile", file, bands=planes)
    # Damage. The damaged table is otherwise as astropy wrote it.
    file, _ = write(shorts, compression_type="RICE_1")
    case("tiled-zero-tile", file.replace(b"ZTILE1  =                   23", b"ZTILE1  =                    0"),
         reason="corrupt")
    case("tiled-huge", file.replace(b"ZNAXIS1 =                   23", b"ZNAXIS1 =              1000000"),
         reason="too_large")
    case("tiled-rows", file.replace(b"ZNAXIS2 =                   17", b"ZNAXIS2 =                   18"),
         reason="corrupt")
    case("tiled-plio", file.replace(b"'RICE_1  '", b"'PLIO_1  '"), reason="corrupt")
    case("tiled-cut", file[: len(file) - 2880], reason="truncated")
    with fits.open(io.BytesIO(file), disable_image_compression=True) as raw:
        stream = io.BytesIO()
        raw.writeto(stream, checksum=True)
    summed = stream.getvalue()
    case("tiled-datasum", summed, bands=shorts[::-1].astype("f4"))
    at = summed.rindex(b"END".ljust(80)) // 2880 * 2880 + 2880 + 51 * 8 + 20
    case("tiled-datasum-wrong", summed[:at] + bytes([summed[at] ^ 4]) + summed[at + 1 :], reason="corrupt")


def fits_positions():
    """Centres of TAN images, by wcslib."""
    data = np.zeros((3, 5, 4), "f4") + np.arange(4, dtype="f4")
    number = 0

    def add(keys, name=None):
        nonlocal number
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = fits.Header(keys + [("NAXIS", 2), ("NAXIS1", 4), ("NAXIS2", 5)])
            wcs = WCS(header)
            centre = wcs.pixel_to_world(1.5, 2.0).icrs
        case(name or f"wcs-{number}", hdu(data, keys), bands=data,
             centre=[float(centre.ra.deg), float(centre.dec.deg)])
        number += 1

    def number_card(value):
        return float(f"{value:.12g}")

    for swapped in [False, True]:
        for form in ["cd", "pc", "crota", "cdelt"]:
            for n in range(12):
                ra, dec = RNG.uniform(0, 360), np.degrees(np.arcsin(RNG.uniform(-1, 1)))
                ra = {1: 0.00003, 2: 359.99998}.get(n, ra)
                dec = {3: 89.9999, 4: -89.9999, 5: 90.0, 6: -90.0}.get(n, dec)
                scale = 10 ** RNG.uniform(-5, -1.5)
                angle = RNG.uniform(-180, 180)
                c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
                kinds = ["RA---TAN", "DEC--TAN"]
                values = [ra, dec]
                if swapped:
                    kinds.reverse(), values.reverse()
                keys = [("CTYPE1", kinds[0]), ("CTYPE2", kinds[1]),
                        ("CRVAL1", number_card(values[0])), ("CRVAL2", number_card(values[1])),
                        ("CRPIX1", number_card(RNG.uniform(-30, 30))), ("CRPIX2", number_card(RNG.uniform(-30, 30)))]
                if form == "cd":
                    keys += [("CD1_1", number_card(-scale * c)), ("CD1_2", number_card(scale * s)),
                             ("CD2_1", number_card(scale * s * 1.1)), ("CD2_2", number_card(scale * c))]
                else:
                    keys += [("CDELT1", number_card(-scale)), ("CDELT2", number_card(scale * 1.2))]
                if form == "pc":
                    keys += [("PC1_1", number_card(c)), ("PC1_2", number_card(-s)),
                             ("PC2_1", number_card(s)), ("PC2_2", number_card(c))]
                if form == "crota":
                    keys += [("CROTA1" if swapped else "CROTA2", number_card(angle))]
                if n == 7:
                    keys += [("LONPOLE", 120.0)]
                if n == 8:
                    keys += [("CUNIT1", "deg"), ("CUNIT2", "deg")]
                add(keys)
    add([("CTYPE1", "RA---TAN"), ("CTYPE2", "DEC--TAN"), ("CRVAL1", 10.5), ("CRVAL2", -3.25),
         ("CRPIX1", 1.0), ("CRPIX2", 2.0), ("CD1_1", -1e-4), ("CD2_2", 1e-4)], "wcs-sparse-cd")
    place = [("CRVAL1", 10.5), ("CRVAL2", -3.25), ("CRPIX1", 1.0), ("CRPIX2", 2.0), ("CDELT1", -1e-4), ("CDELT2", 1e-4)]
    types = lambda x, y: [("CTYPE1", x), ("CTYPE2", y)]
    add(types("RA---SIN", "DEC--SIN") + place, "wcs-sin")
    add(types("GLON-TAN", "GLAT-TAN") + place, "wcs-galactic")
    add(types("RA---TAN", "DEC--TAN") + place + [("EQUINOX", 1950.0)], "wcs-b1950")
    # Keywords that are not applied: no position, and a word why.
    case("wcs-none", hdu(data, place), bands=data, centre=None)
    case("wcs-tnx", hdu(data, types("RA---TNX", "DEC--TNX") + place), bands=data, centre=None, note="projection TNX")
    case("wcs-type", hdu(data, types("RA---TAN", "DEC--TAN") + place[1:] + [("CRVAL1", "10 30 00")]), bands=data,
         centre=None, note="CRVAL1")
    # One file a band: the same place, and crops that kept what was right for
    # the frames that they were cut from.
    tan = types("RA---TAN", "DEC--TAN")
    inside = [(k, 2.5 if k.startswith("CRPIX") else v) for k, v in place]
    outside = [(k, 900.5 if k.startswith("CRPIX") else v) for k, v in place]
    moved = lambda keys, by: [(k, v + by if k == "CRVAL2" else v) for k, v in keys]
    bands = lambda *headers: {b: hdu(data[0], tan + h) for b, h in zip("irg", headers)}
    for name, keys in [("inside", inside), ("outside", outside)]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            centre = WCS(fits.Header(tan + keys + [("NAXIS", 2), ("NAXIS1", 4), ("NAXIS2", 5)])).pixel_to_world(1.5, 2.0)
        centre = [float(centre.ra.deg), float(centre.dec.deg)]
        case(f"wcs-bands-{name}", bands(keys, keys, keys), bands=data, centre=centre)
        case(f"wcs-bands-near-{name}", bands(keys, moved(keys, 5e-5), keys), bands=data, centre=centre)
        case(f"wcs-bands-apart-{name}", bands(keys, keys, moved(keys, 5e-4)), bands=data, centre=None,
             note="1.8 arcsec apart" + ("; CRPIX lies outside" if name == "outside" else ""))
    larger = [(k, 2 * v if k.startswith("CDELT") else v) for k, v in place]
    case("wcs-bands-unlike", bands(place, place, larger), bands=data, centre=None, note="differ in size")


# In single precision numpy's is off by up to two of the last bits, and otherwise where the
# processor has AVX-512. From double precision it is rounded once, to the nearest.
ARCSINH = functools.partial(np.arcsinh, dtype="f8", casting="same_kind")


def lupton(planes, **how):
    """The picture that astropy makes, its top row first; NaN is black."""
    with (
        np.errstate(invalid="ignore"),
        warnings.catch_warnings(),
        mock.patch.object(np, "arcsinh", ARCSINH),
    ):
        warnings.simplefilter("ignore")
        rgb = make_lupton_rgb(*planes, **how)
    rgb[np.isnan(planes).any(axis=0)] = 0
    return rgb[::-1]


def colours():
    planes = flux(3, 200, 300)
    planes *= RNG.choice([0.01, 1, 30, 1000], size=(200, 300))
    planes[:, 0, 0] = 0
    planes[:, 0, 1] = -1
    planes[:, 0, 2] = [1, -3, 1]
    planes[:, 0, 3] = 1e30
    planes[1, 0, 4] = np.nan
    planes[:, 0, 5] = 1e-37
    cube = planes[::-1]
    case("rgb-lupton", hdu(np.ascontiguousarray(cube)), bands=planes, composed=save(
        "rgb-lupton.composed", lupton(planes).tobytes()))
    how = {"stretch": 0.5, "Q": 3.5, "minimum": [-0.1, 0.05, 0.2]}
    case("rgb-parameters", hdu(np.ascontiguousarray(cube)), bands=planes, lupton=how, composed=save(
        "rgb-parameters.composed", lupton(planes, **how).tobytes()))


# --- Pictures ----------------------------------------------------------------


def galaxy(height, width, channels):
    """A smooth colourful picture, as JPEG is made for."""
    y, x = np.mgrid[:height, :width]
    base = np.exp(-np.hypot(y - height / 2, x - width / 2) / (width / 5 + 1))
    layers = [base * 230 * (1 - 0.2 * c) + 12 * np.sin(x / (5 + c)) + 12 for c in range(channels)]
    picture = np.stack(layers, axis=-1) + RNG.normal(0, 3, (height, width, channels))
    return np.clip(picture, 0, 255).astype(np.uint8)


def jpegs():
    def encode(picture, mode, **how):
        stream = io.BytesIO()
        Image.fromarray(picture[..., 0] if mode == "L" else picture, mode).save(stream, "JPEG", **how)
        return stream.getvalue()

    def add(name, data):
        rgb = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        case(f"jpeg-{name}", data, rgb=rgb, tolerance=4)

    sizes = [(1, 1), (8, 8), (9, 7), (17, 33), (100, 75), (64, 128)]
    for height, width in sizes:
        rgb, grey = galaxy(height, width, 3), galaxy(height, width, 1)
        size = f"{width}x{height}"
        for progressive in [False, True]:
            kind = "progressive" if progressive else "baseline"
            add(f"grey-{kind}-{size}", encode(grey, "L", quality=92, progressive=progressive))
            for sampling in ["4:4:4", "4:2:2", "4:2:0"]:
                add(f"{sampling.replace(':', '')}-{kind}-{size}", encode(
                    rgb, "RGB", quality=92, subsampling=sampling, progressive=progressive))
    rgb, ink = galaxy(60, 90, 3), galaxy(60, 90, 4)
    add("restarts", encode(rgb, "RGB", quality=90, restart_marker_blocks=3))
    add("restarts-rows", encode(rgb, "RGB", quality=90, restart_marker_rows=1, progressive=True))
    add("optimised", encode(rgb, "RGB", quality=60, optimize=True))
    named = encode(rgb, "RGB", quality=95, keep_rgb=True)
    add("rgb", named)
    numbered = bytearray(named)
    frame, scan = named.index(b"\xff\xc0") + 10, named.index(b"\xff\xda") + 5
    for n in range(3):
        numbered[frame + 3 * n] = numbered[scan + 2 * n] = n + 1
    if b"Adobe" not in named:
        adobe = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"
        numbered[2:2] = adobe
    add("rgb-by-adobe", bytes(numbered))
    cmyk = encode(ink, "CMYK", quality=95)
    add("cmyk", cmyk)
    add("cmyk-progressive", encode(ink, "CMYK", quality=95, progressive=True))
    at = cmyk.index(b"Adobe") + 11
    add("ycck", cmyk[:at] + b"\2" + cmyk[at + 1 :])
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = encode(rgb, "RGB", quality=90)
    case("jpeg-rotated-by-exif", encode(rgb, "RGB", quality=90, exif=exif),
         rgb=np.asarray(Image.open(io.BytesIO(plain))), tolerance=4)
    add("junk-after", plain + b"junk \xff\xd8\xff")
    case("jpeg-without-its-end", plain[:-2], reason="truncated")
    case("jpeg-huge", plain.replace(struct.pack(">HH", 60, 90), struct.pack(">HH", 60000, 60000), 1),
         reason=["too_large", "corrupt"])
    enough = encode(galaxy(1000, 1000, 3), "RGB", quality=90)
    case("jpeg-huge-with-data", enough.replace(struct.pack(">HH", 1000, 1000), struct.pack(">HH", 20000, 100), 1),
         reason="too_large")
    sof = plain.index(b"\xff\xc0")
    for name, code in [("lossless", 0xC3), ("arithmetic", 0xC9), ("hierarchical", 0xC5)]:
        case(f"jpeg-{name}", plain[: sof + 1] + bytes([code]) + plain[sof + 2 :], reason="unsupported")
    case("jpeg-12-bit", plain[: sof + 4] + b"\x0c" + plain[sof + 5 :], reason="unsupported")


def png_bytes(samples, depth, colour, interlaced=False, palette=None, transparent=None):
    """A PNG by the specification; `samples` are height × width × channels."""
    height, width, channels = samples.shape

    def rows(part):
        out = b""
        for row in part:
            if depth == 16:
                line = row.astype(">u2").tobytes()
            elif depth == 8:
                line = row.astype("u1").tobytes()
            else:
                bits = "".join(f"{v:0{depth}b}" for v in row.ravel())
                bits += "0" * (-len(bits) % 8)
                line = int(bits, 2).to_bytes(len(bits) // 8, "big")
            out += b"\0" + line
        return out

    if interlaced:
        passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        parts = [samples[y::dy, x::dx] for y, x, dy, dx in passes]
        raw = b"".join(rows(p) for p in parts if p.size)
    else:
        raw = rows(samples)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    if palette is not None:
        out += chunk(b"PLTE", palette.astype("u1").tobytes())
    if transparent is not None:
        out += chunk(b"tRNS", transparent)
    return out + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def pngs():
    h, w = 13, 19
    for interlaced in [False, True]:
        tag = "-interlaced" if interlaced else ""
        for depth in [1, 2, 4, 8, 16]:
            top = 2**depth - 1
            levels = lambda v: np.floor(v.astype("f8") * 255 / top + 0.5).astype("u1")
            for name, colour, channels in [("grey", 0, 1), ("rgb", 2, 3), ("grey-alpha", 4, 2), ("rgba", 6, 4)]:
                if depth < 8 and colour != 0:
                    continue
                samples = RNG.integers(0, top, (h, w, channels), endpoint=True)
                seen = samples[..., :1].repeat(3, axis=2) if channels < 3 else samples[..., :3]
                case(f"png-{name}-{depth}{tag}", png_bytes(samples, depth, colour, interlaced), rgb=levels(seen))
            if depth <= 8:
                palette = RNG.integers(0, 255, (2**depth, 3), endpoint=True)
                samples = RNG.integers(0, top, (h, w, 1), endpoint=True)
                data = png_bytes(samples, depth, 3, interlaced, palette, bytes([7] * min(3, 2**depth)))
                case(f"png-palette-{depth}{tag}", data, rgb=palette[samples[..., 0]])
    samples = RNG.integers(0, 255, (h, w, 3), endpoint=True)
    data = png_bytes(samples, 8, 2, transparent=struct.pack(">HHH", *samples[0, 0]))
    case("png-transparent-colour", data, rgb=samples)
    picture = galaxy(70, 90, 3)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", optimize=True)
    data = stream.getvalue()
    case("png-pillow", data, rgb=picture)
    case("png-junk-after", data + b"junk", rgb=picture)
    case("png-no-iend", data[:-12], reason="truncated")
    case("png-cut", data[: len(data) // 2], reason="truncated")
    at = data.index(b"IDAT") + 300
    case("png-flipped", data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], reason="corrupt")
    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    huge = data[:16] + head + struct.pack(">I", zlib.crc32(b"IHDR" + head)) + data[33:]
    case("png-huge", huge, reason="too_large")


def enlarged():
    picture = galaxy(90, 70, 3)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    for name, how in [("bilinear", Image.Resampling.BILINEAR), ("lanczos3", Image.Resampling.LANCZOS)]:
        wide = np.asarray(Image.fromarray(picture).resize((100, 129), how))
        top = round((129 - 100) / 2.0)
        case(f"enlarge-{name}", stream.getvalue(), rgb=picture, enlarged={
            "filter": name, "size": 100,
            "rgb": save(f"enlarge-{name}.enlarged", np.ascontiguousarray(wide[top : top + 100]).tobytes())})


def text_files():
    case("text.jpg", b"<!DOCTYPE html><title>404</title>", reason="not_an_image")
    case("nothing.fits", b"", reason="empty")


def real_fits(folder):
    for path in sorted(Path(folder).glob("*_g.fits")):
        name = path.name.removesuffix("_g.fits")
        planes = np.stack([fits.getdata(path.with_name(f"{name}_{b}.fits")) for b in "irg"]).astype("f4")
        header = fits.getheader(path.with_name(f"{name}_i.fits"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wcs = WCS(header)
        x, y = [(n + 1) / 2 for n in planes.shape[:0:-1]]
        ra, dec = wcs.wcs_pix2world([[x, y]], 1)[0]
        files = {b: path.with_name(f"{name}_{b}.fits").read_bytes() for b in "gri"}
        case(name, files, bands=planes, centre=[float(ra), float(dec)],
             composed=save(f"{name}.composed", lupton(planes).tobytes()))


def real_jpegs(paths):
    for path in map(Path, paths):
        case(path.stem, path.read_bytes(), rgb=np.asarray(Image.open(path).convert("RGB")), tolerance=4)


if len(sys.argv) == 2:
    fits_layouts()
    fits_numbers()
    fits_compressed()
    fits_positions()
    colours()
    jpegs()
    pngs()
    enlarged()
    text_files()
elif sys.argv[2] == "--jpeg":
    real_jpegs(sys.argv[3:])
else:
    real_fits(sys.argv[2])
(OUT / "cases.json").write_text(json.dumps(CASES, indent=1))
print(len(CASES))
