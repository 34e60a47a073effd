"""Augments an image by Pillow, step by step as the cases of a folder say.

    python augment.py FOLDER

FOLDER/cases.json holds width and height of FOLDER/input.rgb and a list of
cases; the result of case i goes to FOLDER/<i>.rgb. That torchvision's
functions make the same calls is checked by live/training.py.
"""

import json
import sys
from pathlib import Path

from PIL import Image


def centre(image, side):
    left = round((image.width - side) / 2)
    top = round((image.height - side) / 2)
    return image.crop((left, top, left + side, top + side))


def rotate(image, angle):
    return image.rotate(angle, Image.Resampling.NEAREST, fillcolor=(0, 0, 0))


def crop(image, w, size):
    box = (w["left"], w["top"], w["left"] + w["width"], w["top"] + w["height"])
    return image.crop(box).resize((size, size), Image.Resampling.BILINEAR)


def mirror(image):
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def upset(image):
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def main(folder):
    request = json.loads((folder / "cases.json").read_text())
    size = (request["width"], request["height"])
    source = Image.frombytes("RGB", size, (folder / "input.rgb").read_bytes())
    for number, case in enumerate(request["cases"]):
        image = rotate(centre(source, case["crop"]), case["angle"])
        image = crop(image, case["window"], case["size"])
        if case["horizontal_flip"]:
            image = mirror(image)
        if case["vertical_flip"]:
            image = upset(image)
        if case["transpose"]:
            image = image.transpose(Image.Transpose.TRANSPOSE)
        (folder / f"{number}.rgb").write_bytes(image.tobytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
