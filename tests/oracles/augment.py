"""Augments an image by PIL, step by step as the cases of a folder say.

    python augment.py FOLDER            by Pillow's own calls
    python augment.py FOLDER --torch    by torchvision's functions on PIL images

FOLDER/cases.json holds width and height of FOLDER/input.rgb and a list of
cases; the result of case i goes to FOLDER/<i>.rgb.
"""

import json
import sys
from pathlib import Path

from PIL import Image

folder = Path(sys.argv[1])
request = json.loads((folder / "cases.json").read_text())
source = Image.frombytes(
    "RGB", (request["width"], request["height"]), (folder / "input.rgb").read_bytes()
)

if "--torch" in sys.argv:
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as F

    centre = lambda image, side: F.center_crop(image, side)
    rotate = lambda image, angle: F.rotate(image, angle, InterpolationMode.NEAREST, fill=0)
    crop = lambda image, w, size: F.resized_crop(
        image, w["top"], w["left"], w["height"], w["width"], [size, size], InterpolationMode.BILINEAR
    )
    mirror, upset = F.hflip, F.vflip
else:
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

for number, case in enumerate(request["cases"]):
    image = centre(source, case["crop"])
    image = rotate(image, case["angle"])
    image = crop(image, case["window"], case["size"])
    if case["horizontal_flip"]:
        image = mirror(image)
    if case["vertical_flip"]:
        image = upset(image)
    if case["transpose"]:
        image = image.transpose(Image.Transpose.TRANSPOSE)
    (folder / f"{number}.rgb").write_bytes(image.tobytes())
