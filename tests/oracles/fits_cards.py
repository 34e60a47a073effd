"""FITS files with one keyword record changed, for tests/decode/cards.rs.

    fits_cards.py OUT    writes files, pixels and OUT/cases.json

A case is as in decode.py. Where astropy reads a file, it has the pixels that
astropy reads, by the band names that astropy reads, and may be rejected; where
astropy does not, it has to be.
"""

import io
import json
import sys
import warnings
from pathlib import Path

import astropy
import numpy as np
from astropy.io import fits

assert astropy.__version__ == "8.0.2", astropy.__version__

OUT = Path(sys.argv[1])
CASES = []
RNG = np.random.default_rng(3)
ANY = ["corrupt", "unsupported", "truncated", "missing_band", "too_large", "no_data", "not_an_image"]
H, W = 17, 23


def card(key, value):
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        text = f"'{value:<8}'"
    else:
        text = f"{value!r:>20}".upper()
    return f"{key:<8}= {text}".ljust(80)


def physical(image):
    """Pixels in double precision, which astropy scales in single."""
    header = image.header
    stored = np.array(image.data)
    scale, zero, blank = [header.get(k, default) for k, default in [("BSCALE", 1), ("BZERO", 0), ("BLANK", None)]]
    values = stored.astype("f8") * (scale + 0) + (zero + 0)
    if blank is not None and stored.dtype.kind in "iu":
        assert isinstance(blank, int)
        values[stored == blank] = np.nan
    return values


def read(data):
    """Planes in the order i, r, g, or None where astropy finds no such."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with fits.open(io.BytesIO(data), do_not_scale_image_data=True) as file:
                images = [h for h in file if h.is_image and h.data is not None]
                if len(images) == 1:
                    cube = physical(images[0])
                    names = images[0].header.get("BANDS", "gri")
                    names = names if isinstance(names, str) else "gri"
                    if cube.shape[0] != 3 or len(names) != 3:
                        return None
                    planes = dict(zip(names.lower(), cube))
                else:
                    planes = {h.name.strip().lower(): physical(h) for h in images}
                planes = np.stack([planes[b] for b in "irg"])
                with np.errstate(over="ignore"):
                    planes = planes.astype("f4")
                return planes if np.isfinite(planes).any(axis=(1, 2)).all() else None
    except Exception:
        return None


def add(name, data, readable, right):
    (OUT / name).write_bytes(data)
    planes = right if right is not None else read(data) if readable else None
    if planes is None:
        CASES.append({"name": name, "single": name, "reason": ANY})
        return
    (OUT / f"{name}.bands").write_bytes(np.ascontiguousarray(planes, dtype="<f4").tobytes())
    CASES.append({"name": name, "single": name, "bands": f"{name}.bands", "height": planes.shape[1],
                  "width": planes.shape[2], "may_reject": True})


def changes(record):
    """Ways in which a record is written otherwise, and what they are called."""
    key, field = record[:8].rstrip(), record[10:]
    value = field.split(" / ")[0].strip()
    yield "gone", []
    yield "twice", [record, record]
    yield "lower", [key.lower().ljust(8) + record[8:]]
    yield "lower-too", [record, key.lower().ljust(8) + record[8:]]
    yield "hierarch", [f"HIERARCH {key} = {value}"]
    yield "hierarch-too", [record, f"HIERARCH {key} = {value}"]
    yield "no-blank", [f"{key:<8}={value}"]
    yield "early-sign", [f"{key} = {value}"]
    yield "indented", [f" {key:<7}= {value}" if len(key) < 8 else record]
    yield "empty", [f"{key:<8}= "]
    yield "left", [f"{key:<8}= {value}/ to the left"]
    yield "two-values", [f"{key:<8}= {value} {value}"]
    if value.startswith("'"):
        inside = value.strip("'").rstrip()
        yield "lower-value", [f"{key:<8}= '{inside.lower()}'"]
        yield "blank-first", [f"{key:<8}= ' {inside}'"]
        yield "open", [f"{key:<8}= '{inside}"]
        yield "unquoted", [f"{key:<8}= {inside}"]
        yield "other-first", [f"{key:<8}= 'OTHER'", record]
        yield "other-last", [record, f"{key:<8}= 'OTHER'"]
        if len(inside) > 1:
            yield "goes-on", [f"{key:<8}= '{inside[:1]}&'", f"CONTINUE  '{inside[1:]}'"]
            yield "goes-on-elsewhere", [f"{key:<8}= '{inside[:1]}&'", "COMMENT", f"CONTINUE  '{inside[1:]}'"]
        yield "number", [f"{key:<8}= 1"]
    elif value not in ("T", "F"):
        yield "quoted", [f"{key:<8}= '{value}'"]
        yield "float", [f"{key:<8}= {float(value)!r}"]
        yield "exponent", [f"{key:<8}= {float(value):.17E}"]
        yield "exponent-d", [f"{key:<8}= " + f"{float(value):.17E}".replace("E", "D")]
        yield "exponent-lower", [f"{key:<8}= {float(value):.17e}"]
        yield "plus", [f"{key:<8}= +{value}" if not value.startswith("-") else record]
        yield "complex", [f"{key:<8}= ({value}, 0)"]
        yield "other-first", [f"{key:<8}= {value}1", record]
        yield "other-last", [record, f"{key:<8}= {value}1"]
        yield "negative", [f"{key:<8}= -{value.lstrip('-')}"]
        yield "larger", [f"{key:<8}= {value}0"]
        yield "huge", [f"{key:<8}= 99999999999999999999"]
    else:
        yield "false", [f"{key:<8}= {'F' if value == 'T' else 'T'}"]
        yield "one", [f"{key:<8}= 1"]
        yield "quoted", [f"{key:<8}= '{value}'"]


def vary(name, data, start, keys):
    """Every change of every record of `keys` in the header that begins at
    `start`."""
    end = start
    original = read(data)
    assert original is not None
    records = []
    while not data[end : end + 80].startswith(b"END     "):
        records.append(data[end : end + 80].decode())
        end += 80
    after = start + -(-(end + 80 - start) // 2880) * 2880
    for n, record in enumerate(records):
        if record[:8].rstrip() not in keys:
            continue
        for change, new in changes(record):
            head = records[:n] + new + records[n + 1 :] + ["END"]
            head = "".join(r.ljust(80)[:80] for r in head).encode()
            head += b" " * (-len(head) % 2880)
            # astropy would make room for what these claim, or crash.
            absurd = change in ("huge", "other-first", "other-last", "negative")
            sizes = ("NAXIS", "ZNAXIS", "PCOUNT", "GCOUNT", "TFIELDS")
            absurd &= record.startswith((*sizes, "ZTILE")) or (record.startswith("ZVAL") and "rice" in name)
            # What the standard says and cfitsio knows, and astropy does not:
            # strings go on, and a tile is a row.
            standard = change == "goes-on" or (change == "gone" and record.startswith("ZTILE"))
            right = original if standard else None
            readable = not (absurd or (change == "larger" and record.startswith(sizes)))
            add(f"{name}-{n}-{record[:8].rstrip()}-{change}", data[:start] + head + data[after:], readable, right)


def plain_cube():
    counts = RNG.integers(-1000, 1000, (3, H, W)).astype(">i2")
    records = [card("SIMPLE", True), card("BITPIX", 16), card("NAXIS", 3), card("NAXIS1", W), card("NAXIS2", H),
               card("NAXIS3", 3), card("BANDS", "irg"), card("BSCALE", 0.0125), card("BZERO", 4.5),
               card("BLANK", -999), "END".ljust(80)]
    counts[:, 2, 3:9] = -999
    head = "".join(records).encode()
    body = counts.tobytes()
    return head + b" " * (-len(head) % 2880) + body + bytes(-len(body) % 2880)


def compressed(named, **how):
    y, x = np.mgrid[:H, :W]
    planes = (RNG.normal(0, 0.3, (3, H, W)) + 40 * np.exp(-np.hypot(y - 8, x - 11) / 3)).astype("f4")
    if named:
        images = [fits.CompImageHDU(p, name=b, **how) for b, p in zip("irg", planes)]
    else:
        images = [fits.CompImageHDU((planes * 100).astype("i2"), **how)]
        images[0].header["BANDS"] = "irg"
        images[0].header["BSCALE"] = 0.5
    stream = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(stream)
    return stream.getvalue()


vary("plain", plain_cube(), 0, ["SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3", "BANDS", "BSCALE",
                               "BZERO", "BLANK"])
TABLE = ["XTENSION", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS", "TTYPE1", "TFORM1",
         "TTYPE3", "TFORM3", "ZIMAGE", "ZBITPIX", "ZNAXIS", "ZNAXIS1", "ZNAXIS2", "ZNAXIS3", "ZTILE1", "ZTILE2",
         "ZCMPTYPE", "ZNAME1", "ZVAL1", "ZNAME2", "ZVAL2", "ZQUANTIZ", "ZDITHER0", "EXTNAME", "BANDS", "BSCALE"]
vary("rice", compressed(True, compression_type="RICE_1", quantize_method=1, dither_seed=5), 2880, TABLE)
vary("hcompress", compressed(False, compression_type="HCOMPRESS_1", hcomp_scale=2, hcomp_smooth=1,
                             tile_shape=(1, H, W)), 2880, TABLE)
(OUT / "cases.json").write_text(json.dumps(CASES, indent=1))
print(len(CASES), sum("reason" in c for c in CASES))
