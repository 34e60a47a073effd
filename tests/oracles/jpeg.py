"""JPEGs of every kind, whole and damaged, and what libjpeg-turbo says of each.

`jpeg.py FOLDER` writes them with cjpeg, jpegtran and Pillow and prints JSON:
a list of {file, width, height, rgb, warned, must, tolerance}. `rgb` is the file with the
pixels that djpeg decodes, or null where it gives none; `warned` whether it had
anything to say; `must` whether a decoder worth its name reads the file.
Debian's package libjpeg-turbo-progs has the three programs."""
import io
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(sys.argv[1])
RNG = np.random.default_rng(1992)
CASES = []
# Files that were already judged: a damage may come out twice.
SEEN = set()


def run(*command, data=b""):
    done = subprocess.run(command, input=data, capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace").strip()


def picture(height, width, channels):
    """Smooth, with noise and sharp edges in all channels."""
    y, x = np.mgrid[:height, :width]
    base = np.exp(-np.hypot(y - height / 2, x - width / 2) / (width / 5 + 1))
    layers = [base * 230 * (1 - 0.3 * c) + 25 * ((x // (5 + 3 * c) + y // 7) % 2) for c in range(channels)]
    noisy = np.stack(layers, axis=-1) + RNG.normal(0, 4, (height, width, channels))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def netpbm(pixels):
    kind = b"P6" if pixels.shape[2] == 3 else b"P5"
    return kind + b" %d %d 255\n" % pixels.shape[1::-1] + pixels.tobytes()


def cjpeg(pixels, *options, scans=None):
    options = ["-quality", "88", *options]
    if scans:
        script = OUT / "scans.txt"
        script.write_text(scans)
        options += ["-scans", str(script)]
    code, data, said = run("cjpeg", *options, data=netpbm(pixels))
    assert code == 0, (options, scans, said)
    return data


def djpeg(data):
    """Pixels as RGB or None, and whether there was a warning or an error."""
    code, out, said = run("djpeg", "-pnm", data=data)
    warned = code != 0 or bool(said)
    try:
        return np.asarray(Image.open(io.BytesIO(out)).convert("RGB")), warned
    except OSError:
        return None, True


def case(name, data, must=False, tolerance=4):
    if data in SEEN:
        return
    SEEN.add(data)
    name = name.replace(" ", "_").replace("/", "_")
    pixels, warned = djpeg(data)
    assert not (must and warned), name
    (OUT / f"{name}.jpg").write_bytes(data)
    entry = {"file": f"{name}.jpg", "warned": warned, "must": must, "tolerance": tolerance, "rgb": None}
    if pixels is not None:
        (OUT / f"{name}.rgb").write_bytes(pixels.tobytes())
        entry |= {"rgb": f"{name}.rgb", "width": pixels.shape[1], "height": pixels.shape[0]}
    CASES.append(entry)


# Luma first; every one of them is legal, and cjpeg writes it.
COMMON = ["1x1", "2x1", "1x2", "2x2"]
RARE = ["4x1", "1x4", "4x2", "2x4", "4x4", "3x1", "1x3", "2x2,2x1,2x1", "2x2,1x2,1x2", "2x2,2x1,1x2", "1x1,2x2,2x2",
        "2x1,1x2,1x1", "1x2,1x1,1x2", "2x2,1x1,2x2", "1x1,2x1,2x1", "4x1,2x1,2x1", "1x4,1x2,1x2", "4x2,2x1,2x1", "2x4,1x2,1x2",
        "2x2,2x2,2x2", "2x1,2x1,2x1", "4x2,2x2,2x2", "3x2,1x1,1x1", "3x3,1x1,1x1"]
SEQUENTIAL = {"interleaved": None, "scan-each": "0;1;2;", "luma-then-chroma": "0;1 2;", "two-then-one": "0 1;2;",
              "backwards": "2;1;0;", "one-and-two": "0 2;1;"}
SPECTRAL = "0 1 2: 0-0, 0, 0; 0: 1-5, 0, 0; 1: 1-63, 0, 0; 2: 1-63, 0, 0; 0: 6-63, 0, 0;"
APPROXIMATE = ("0: 0-0, 0, 1; 1 2: 0-0, 0, 1; 0: 1-8, 0, 2; 2: 1-63, 0, 1; 1: 1-63, 0, 1; 0: 9-63, 0, 2; 0: 1-63, 2, 1;"
               "0: 0-0, 1, 0; 1 2: 0-0, 1, 0; 2: 1-63, 1, 0; 1: 1-63, 1, 0; 0: 1-63, 1, 0;")
PROGRESSIVE = {"default": None, "spectral": SPECTRAL, "approximate": APPROXIMATE}


def whole():
    sizes = [(48, 64), (75, 101), (9, 17)]
    for (height, width), sampling in itertools.product(sizes, COMMON + RARE):
        rgb = picture(height, width, 3)
        tag = f"{width}x{height} {sampling}"
        # A MCU of more than ten blocks cannot be interleaved (T.81, B.2.3).
        factors = [[int(n) for n in f.split("x")] for f in sampling.split(",")]
        blocks = sum(h * v for h, v in (factors + [[1, 1]] * 3)[:3])
        # Sampled in between, and alone in a scan: legal, and met by nobody.
        largest = [max(f[axis] for f in factors) for axis in (0, 1)]
        common = not any(1 < f[axis] < largest[axis] for f in factors for axis in (0, 1))
        for name, scans in SEQUENTIAL.items():
            must = common or name == "interleaved"
            if blocks > 10 and name != "scan-each" and name != "backwards":
                continue
            case(f"{tag} {name}", cjpeg(rgb, "-sample", sampling, scans=scans), must=must)
            if name in ("interleaved", "scan-each"):
                case(f"{tag} {name} restarts", cjpeg(rgb, "-sample", sampling, "-restart", "3B", scans=scans), must=must)
        if blocks > 10:
            continue
        for name, scans in PROGRESSIVE.items():
            data = cjpeg(rgb, "-sample", sampling, "-progressive", scans=scans)
            case(f"{tag} progressive {name}", data, must=common)
        case(f"{tag} progressive restarts", cjpeg(rgb, "-sample", sampling, "-progressive", "-restart", "1B"), must=common)
        case(f"{tag} optimised", cjpeg(rgb, "-sample", sampling, "-optimize", "-restart", "1"), must=True)
        case(f"{tag} arithmetic", cjpeg(rgb, "-sample", sampling, "-arithmetic"))
    for height, width in sizes:
        grey = picture(height, width, 1)
        for sampling, options in itertools.product(["1x1", "2x2", "1x2", "4x1"], [[], ["-progressive"], ["-restart", "2B"]]):
            case(f"grey {width}x{height} {sampling} {options}", cjpeg(grey, "-grayscale", "-sample", sampling, *options), must=True)
        case(f"rgb {width}x{height}", cjpeg(picture(height, width, 3), "-rgb"), must=True)
        case(f"rgb {width}x{height} scans", cjpeg(picture(height, width, 3), "-rgb", scans="0;1;2;"), must=True)
        case(f"rgb {width}x{height} progressive", cjpeg(picture(height, width, 3), "-rgb", "-progressive"), must=True)
    rgb = picture(48, 64, 3)
    for quality in ["1", "25", "100"]:
        case(f"quality {quality}", cjpeg(rgb, "-quality", quality, "-baseline"), must=True)
        case(f"quality {quality} wide", cjpeg(rgb, "-quality", quality), must=True)
    # Planes whose coefficients are not all sent: libjpeg smooths what is missing.
    for name, scans in {"no AC": "0 1 2: 0-0, 0, 0;", "no last bit": "0 1 2: 0-0, 0, 1;",
                        "no high AC": "0 1 2: 0-0, 0, 0; 0: 1-9, 0, 0;"}.items():
        case(f"incomplete {name}", cjpeg(rgb, "-progressive", scans=scans))


def scans_of(data):
    """Where the entropy-coded data of each scan begin and end."""
    at, found = 2, []
    while data[at + 1] != 0xD9:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        at += 2 + length
        if marker == 0xDA:
            start = at
            while not (data[at] == 0xFF and data[at + 1] != 0 and not 0xD0 <= data[at + 1] <= 0xD7):
                at += 1
            found.append((start, at))
    return found


def damaged(name, data, rounds):
    scans = scans_of(data)
    restarts = [i for s, e in scans for i in range(s, e - 1) if data[i] == 0xFF and 0xD0 <= data[i + 1] <= 0xD7]
    for n, (start, end) in enumerate(scans):
        if n not in (0, 1, len(scans) - 1) and rounds < 20:
            continue
        put = lambda at, new, drop=0: data[:at] + new + data[at + drop :]
        for k in [1, 2, 3, 5, 8, 9, 12, 30]:
            case(f"{name} scan {n} leftover {k} zeros", put(end, bytes(k)))
            case(f"{name} scan {n} leftover {k}", put(end, bytes(RNG.integers(0, 255, k).tolist())))
            case(f"{name} scan {n} leftover {k} of its own", put(end, data[max(start, end - 40) : max(start, end - 40) + k]))
            case(f"{name} scan {n} short by {k}", put(max(start, end - k), b"", min(k, end - start)))
        for part in [0.1, 0.5, 0.9]:
            cut = start + int((end - start) * part)
            case(f"{name} scan {n} cut at {part}", put(cut, b"", end - cut))
            case(f"{name} scan {n} hole at {part}", put(cut, b"", min(16, end - cut)))
            case(f"{name} scan {n} zeros at {part}", put(cut, bytes(min(12, end - cut)), min(12, end - cut)))
            case(f"{name} scan {n} FFs at {part}", put(cut, b"\xff" * min(8, end - cut), min(8, end - cut)))
            case(f"{name} scan {n} again at {part}", put(cut, data[cut : cut + 25]))
            case(f"{name} scan {n} restart at {part}", put(cut, b"\xff\xd0"))
            case(f"{name} scan {n} padded at {part}", put(cut, b"\xff\x00" * 4))
    for which in {0, len(restarts) // 2, len(restarts) - 1} if restarts else ():
        at = restarts[which]
        case(f"{name} without restart {which}", data[:at] + data[at + 2 :])
        case(f"{name} restart {which} twice", data[:at] + data[at : at + 2] + data[at:])
        case(f"{name} restart {which} by another number", data[: at + 1] + bytes([0xD0 + (data[at + 1] + 3) % 8]) + data[at + 2 :])
        case(f"{name} restart {which} leftover", data[:at] + b"\x11\x22\x33" + data[at:])
        case(f"{name} restart {which} short", data[: at - 1] + data[at:])
        case(f"{name} restart {which} filled", data[:at] + b"\xff" + data[at:])
    for i in range(rounds):
        start, end = scans[int(RNG.integers(len(scans)))]
        at = int(RNG.integers(start, end))
        kind = int(RNG.integers(4))
        k = int(RNG.integers(1, 6))
        new = [bytes([data[at] ^ (1 << int(RNG.integers(8)))]), b"", data[at : at + k] * 2, bytes(RNG.integers(0, 255, k).tolist())][kind]
        # Coefficients out of range, of which libjpeg does not warn, come out
        # as anything.
        case(f"{name} at random {i}", data[:at] + new + data[at + [1, k, k, k][kind] :], tolerance=255)


def damages():
    rgb, grey = picture(75, 101, 3), picture(75, 101, 1)
    kinds = {"420": ["-sample", "2x2"], "444": ["-sample", "1x1"], "420-restarts": ["-restart", "3B"],
             "420-progressive": ["-progressive"], "444-progressive-restarts": ["-sample", "1x1", "-progressive", "-restart", "2B"]}
    for name, options in kinds.items():
        damaged(name, cjpeg(rgb, *options), 60)
    damaged("420-scans", cjpeg(rgb, scans="0;1;2;"), 30)
    damaged("grey", cjpeg(grey, "-grayscale"), 60)
    damaged("grey-progressive", cjpeg(grey, "-grayscale", "-progressive"), 30)
    whole = cjpeg(rgb)
    start = whole.index(b"\xff\xda")
    for name, data in {
        "junk between segments": whole[:start] + b"\x01\x02\x03" + whole[start:],
        "fill between segments": whole[:start] + b"\xff\xff\xff" + whole[start:],
        "comment": whole[:start] + b"\xff\xfe\x00\x06abcd" + whole[start:],
        "a second picture after it": whole + whole,
        "two tables of one name": whole[:2] + whole[2:start].replace(b"JFIF", b"XXXX") + whole[start:],
        "no tables": cjpeg(rgb).replace(b"\xff\xc4", b"\xff\xfe"),
        "no quantisation": cjpeg(rgb).replace(b"\xff\xdb", b"\xff\xfe"),
    }.items():
        case(name, data)


whole()
damages()
json.dump(CASES, sys.stdout)
