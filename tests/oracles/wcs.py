"""Headers with celestial coordinates, and where astropy places their pixels.

Prints JSON: a list of {name, header, points: [[x, y, ra, dec], ...]}; pixels
count from 1, positions are ICRS in degrees, and null where the projection
does not reach. `points` is null where astropy makes no WCS of the header."""
import itertools
import json
import sys
import warnings

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

warnings.simplefilter("ignore")
np.seterr(all="ignore")
RNG = np.random.default_rng(20061)
CASES = []

PLACES = [(150.25, 2.5), (0.001, -33.0), (359.9995, 12.0), (83.0, 89.99), (210.0, -89.97), (40.0, 0.0), (266.4, -28.9),
          (10.0, 90.0), (10.0, -90.0)]
ZENITHAL = ["TAN", "SIN", "STG", "ARC", "ZEA"]
FLAT = ["CAR", "CEA", "MER", "SFL", "PAR", "AIT", "MOL"]
FRAMES = [{}, {"RADESYS": "ICRS"}, {"RADESYS": "ICRS", "EQUINOX": 2000.0}, {"RADESYS": "ICRS", "EPOCH": 2011.3},
          {"RADESYS": "FK5"}, {"RADESYS": "FK5", "EQUINOX": 2000.0}, {"RADESYS": "FK5", "EQUINOX": 1975.0},
          {"RADECSYS": "FK5", "EQUINOX": 2015.5}, {"RADESYS": "FK4"}, {"RADESYS": "FK4", "EQUINOX": 1950.0},
          {"RADECSYS": "FK4", "EQUINOX": 1950}, {"RADESYS": "FK4", "EQUINOX": 1975.0}, {"RADESYS": "FK4", "EQUINOX": 1900.0},
          {"RADESYS": "FK4-NO-E"}, {"RADESYS": "FK4-NO-E", "EQUINOX": 1925.0}, {"EQUINOX": 1950.0}, {"EQUINOX": 2000.0},
          {"EQUINOX": 1983.9}, {"EQUINOX": 1984.0}, {"EQUINOX": 2020.25}, {"EPOCH": 1950.0}, {"EPOCH": 2000.0},
          {"EPOCH": 1950.0, "EQUINOX": 2000.0}]


def plain(**keys):
    """A header of 101×101 pixels; a key that is None is left out."""
    base = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 51.0, "CRPIX2": 51.0, "CRVAL1": 150.25,
            "CRVAL2": 2.5, "CDELT1": -1e-3, "CDELT2": 1e-3}
    base.update(keys)
    return {k: v for k, v in base.items() if v is not None}


def types(code, one="RA", two="DEC"):
    return {"CTYPE1": f"{one:-<4}-{code}", "CTYPE2": f"{two:-<4}-{code}"}


def case(name, keys, pixels=None):
    header = fits.Header()
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, 101, 101
    for key, value in keys.items():
        header[key] = value
    try:
        wcs = WCS(header)
    except ValueError:  # WCSLIB's errors
        CASES.append({"name": name, "header": keys, "points": None})
        return
    pixels = pixels or [(51.0, 51.0), (1.0, 1.0), (87.25, 13.5), (-400.0, 230.0)]
    points = []
    for x, y in pixels:
        sky = wcs.pixel_to_world(x - 1, y - 1).icrs
        ra, dec = float(sky.ra.deg), float(sky.dec.deg)
        points.append([x, y, ra, dec] if np.isfinite([ra, dec]).all() else [x, y, None, None])
    CASES.append({"name": name, "header": keys, "points": points})


def matrices(scale, angle, swapped):
    """The same rotation in every form; `swapped` where latitude is axis 1."""
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    no = {"CDELT1": None, "CDELT2": None}
    cd = {"CD1_1": -scale * c, "CD1_2": scale * s * 1.1, "CD2_1": scale * s, "CD2_2": scale * c * 1.2}
    pc = {"1_1": c, "1_2": -s, "2_1": s * 0.9, "2_2": c}
    delta = {"CDELT1": -scale, "CDELT2": scale * 1.3}
    yield "cd", no | cd
    yield "cd-cdelt", {"CDELT1": 1.0, "CDELT2": 1.0} | cd
    yield "cd-crota", {"CDELT1": 1.0, "CDELT2": 1.0, "CROTA2": 77.0} | cd
    yield "cd-sparse", no | {"CD1_2": scale, "CD2_1": scale * 1.1}
    yield "pc", delta | {f"PC{k}": v for k, v in pc.items()}
    yield "pc-sparse", delta | {"PC1_2": -s}
    yield "pc-crota", delta | {f"PC{k}": v for k, v in pc.items()} | {"CROTA2": 33.0}
    yield "pc-zeros", delta | {f"PC0{k[0]}_0{k[2]}": v for k, v in pc.items()}
    yield "pc-draft", delta | {f"PC00{k[0]}00{k[2]}": v for k, v in pc.items()}
    yield "pc-degrees", {"CDELT1": 1.0, "CDELT2": 1.0} | {f"PC{k}": v * scale for k, v in pc.items()}
    yield "crota", delta | {"CROTA1" if swapped else "CROTA2": angle}
    yield "crota-both", delta | {"CROTA1": angle, "CROTA2": angle}
    yield "cdelt", delta


def swap(keys):
    """Latitude on axis 1, longitude on axis 2."""
    return keys | {"CTYPE1": keys["CTYPE2"], "CTYPE2": keys["CTYPE1"], "CRVAL1": keys["CRVAL2"],
                   "CRVAL2": keys["CRVAL1"]}


def linear():
    for (ra, dec), swapped in itertools.product(PLACES, [False, True]):
        scale, angle = 10 ** RNG.uniform(-5, -3), RNG.uniform(-180, 180)
        for form, keys in matrices(scale, angle, swapped):
            header = plain(CRVAL1=ra, CRVAL2=dec, CRPIX1=RNG.uniform(-900, 900), CRPIX2=RNG.uniform(-900, 900))
            header = (swap(header) if swapped else header) | keys
            case(f"{form}{'-swapped' if swapped else ''} at {ra} {dec}", {k: v for k, v in header.items() if v is not None})
    for unit, size in [("deg", 1), ("degree", 1), ("rad", np.pi / 180), ("arcmin", 60), ("arcsec", 3600), ("mas", 3.6e6)]:
        case(f"unit {unit}", plain(CUNIT1=unit, CUNIT2=unit, CRVAL1=150.25 * size, CRVAL2=2.5 * size,
                                   CDELT1=-1e-3 * size, CDELT2=1e-3 * size))
        case(f"unit {unit} cd", plain(CUNIT1="deg", CUNIT2=unit, CRVAL2=2.5 * size, CDELT1=None, CDELT2=None,
                                      CD1_1=-1e-3, CD1_2=2e-4, CD2_1=1e-4 * size, CD2_2=1e-3 * size))


def frames():
    for frame, (ra, dec) in itertools.product(FRAMES, PLACES[:7]):
        angle = RNG.uniform(-180, 180)
        case(f"{frame} at {ra} {dec}", plain(CRVAL1=ra, CRVAL2=dec, CROTA2=angle, **frame))
    for (ra, dec), code in itertools.product(PLACES, ["TAN", "CAR"]):
        case(f"galactic {code} at {ra} {dec}", plain(CRVAL1=ra, CRVAL2=dec, **types(code, "GLON", "GLAT")))
        case(f"galactic swapped {code} at {ra} {dec}",
             swap(plain(CRVAL1=ra, CRVAL2=dec, EQUINOX=2000.0, **types(code, "GLON", "GLAT"))))


def projections():
    far = [(51.0, 51.0), (1.0, 101.0), (-150.0, 90.0), (51.0, 900.0), (2000.0, 51.0)]
    for code, (ra, dec) in itertools.product(ZENITHAL, PLACES):
        for scale in [1e-4, 0.1]:
            case(f"{code} {scale} at {ra} {dec}", plain(
                CRVAL1=ra, CRVAL2=dec, CDELT1=-scale, CDELT2=scale, CROTA2=25.0, **types(code)), far)
        case(f"{code} LONPOLE at {ra} {dec}", plain(CRVAL1=ra, CRVAL2=dec, LONPOLE=123.0, LATPOLE=0.0, **types(code)))
    for code, (ra, dec) in itertools.product(FLAT, PLACES):
        for scale in [1e-4, 0.1]:
            for poles in [{}, {"LONPOLE": 0.0}, {"LONPOLE": 180.0}, {"LATPOLE": -90.0}, {"LONPOLE": 0.0, "LATPOLE": 0.0}]:
                case(f"{code} {scale} {poles} at {ra} {dec}", plain(
                    CRVAL1=ra, CRVAL2=dec, CDELT1=-scale, CDELT2=scale, **types(code), **poles), far)
        if abs(dec) < 60:
            case(f"{code} LONPOLE at {ra} {dec}", plain(CRVAL1=ra, CRVAL2=dec, LONPOLE=20.0, **types(code)))
    case("PV1_3", plain(PV1_3=100.0))
    case("PV1_3 before LONPOLE", plain(PV1_3=100.0, LONPOLE=10.0))
    case("PV1_4", plain(PV1_4=-90.0, CRVAL2=30.0, LONPOLE=180.0, **types("CAR")))
    case("PV1_1 and PV1_2 as they are anyhow", plain(PV1_1=0.0, PV1_2=90.0))
    case("CEA 0.5", plain(PV2_1=0.5, **types("CEA")), far)
    for dec in [40.0, -25.0, 89.0]:
        case(f"NCP {dec}", plain(CRVAL2=dec, **types("NCP")))
        case(f"NCP wide {dec}", plain(CRVAL2=dec, CDELT1=-0.1, CDELT2=0.1, **types("NCP")), far[:3])
    for xi, eta in [(0.1, 0.0), (0.0, -0.3), (0.5, 0.7)]:
        case(f"SIN {xi} {eta}", plain(PV2_1=xi, PV2_2=eta, CDELT1=-0.1, CDELT2=0.1, **types("SIN")), far[:3])
    # VISTA and UKIRT, and a polynomial that stops growing.
    case("ZPN VIRCAM", plain(PV2_1=1.0, PV2_2=0.0, PV2_3=44.0, PV2_4=0.0, PV2_5=-10300.0, **types("ZPN")))
    case("ZPN WFCAM", plain(PV2_0=0.0, PV2_1=1.0, PV2_3=-50.0, CDELT1=-1e-4, CDELT2=1e-4, **types("ZPN")))
    case("ZPN wide", plain(PV2_1=1.0, PV2_3=-0.1, CDELT1=-0.1, CDELT2=0.1, **types("ZPN")), far[:3])


def distortions():
    sip = {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "A_1_1": -2e-5,
           "B_0_2": 3e-5, "B_1_1": 1e-6}
    case("SIP", plain(**sip))
    case("SIP with an offset", plain(**sip, A_0_0=1.0, B_1_0=0.01, B_0_0=-2.0))
    case("SIP swapped", swap(plain(**sip)))
    case("SIP far from the reference", plain(**sip, CRPIX1=-1200.0, CRPIX2=2300.0))
    case("SIP with inverse", plain(**sip, AP_ORDER=2, BP_ORDER=2, AP_2_0=-1e-5, BP_0_2=-3e-5))
    case("SIP in name only", plain(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP"))
    high = {f"{n}_{p}_{q}": float(RNG.normal()) * 10.0 ** (-3 * (p + q) + 1)
            for n in "AB" for p in range(6) for q in range(6 - p) if p + q > 1}
    case("SIP of order 5", plain(**sip | {"A_ORDER": 5, "B_ORDER": 5} | high))
    case("SIP of unequal orders", plain(**sip | {"A_ORDER": 5, "B_ORDER": 2} | high))
    case("SIP with ZEA", plain(**sip | {"CTYPE1": "RA---ZEA-SIP", "CTYPE2": "DEC--ZEA-SIP"}))
    case("SIP and SCAMP", plain(**sip, PV1_1=1.01, PV1_7=0.2, PV2_1=0.99, PV2_4=0.1, PV2_10=0.3))
    order = lambda m: [o for o, first in enumerate([0, 1, 4, 7, 12, 17, 24, 31]) if m >= first][-1]
    small = {f"PV{i}_{m}": float(RNG.normal()) * 1e-3 * 0.1 ** order(m) for i in (1, 2) for m in range(40) if m not in (1, 3, 11, 23, 39)}
    # WCSLIB applies the terms before CDELT, so only with CD are they of degrees.
    cd = {"CDELT1": None, "CDELT2": None, "CD1_1": -0.01, "CD1_2": 0.002, "CD2_1": 0.001, "CD2_2": 0.01}
    tpv = types("TPV") | cd | {"PV1_1": 1.0, "PV2_1": 1.0}
    case("TPV", plain(**tpv | small))
    case("TPV with radii", plain(**tpv, PV1_3=1e-3, PV1_11=2e-5, PV2_3=-1e-3, PV2_23=1e-6, PV1_39=1e-7))
    case("TPV of degree 1", plain(**tpv | {"PV1_0": 0.01, "PV1_1": 1.02, "PV1_2": 0.03, "PV2_0": -0.01, "PV2_2": 0.1}))
    case("TPV by PC of degrees", plain(**tpv | cd | {f"CD{k}": None for k in ("1_1", "1_2", "2_1", "2_2")} | small | {
        "PC1_1": -0.01, "PC1_2": 0.002, "PC2_1": 0.0, "PC2_2": 0.01, "CDELT1": 1.0, "CDELT2": 1.0}))
    case("SCAMP", plain(**cd | small | {"PV1_1": 1.0, "PV2_1": 1.0}))
    case("SCAMP with few terms of one axis", plain(
        **cd, PV1_0=0.001, PV1_1=1.01, PV1_2=0.01, PV1_7=5e-4, PV2_1=1.0))
    case("SCAMP that changes nothing", plain(PV2_1=1.0))


linear()
frames()
projections()
distortions()
json.dump(CASES, sys.stdout)
