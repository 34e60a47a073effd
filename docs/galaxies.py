#!/usr/bin/env python3
"""A sheet of the galaxies of a run, each with its label and confidence.

    hiwl classify fixtures/galaxies --precision f32 --output out/galaxies
    python docs/galaxies.py fixtures/galaxies out/galaxies docs/galaxies.jpg

One row for each label, in the order of the galaxies' names; what the volunteers say
stands behind a label that differs. Needs Pillow and pyarrow.
"""

import csv
import sys
from pathlib import Path

import pyarrow.dataset as ds
from PIL import Image, ImageDraw, ImageFont

SIDE, MARGIN, TEXT = 132, 6, 18
CLASSES = ["CRS", "IBS", "CSS", "EO", "SPI"]


def main(folder: Path, run: Path, output: Path) -> None:
    with (folder / "labels.csv").open() as file:
        expected = {row["id"]: row["label"] for row in csv.DictReader(file)}
    rows = ds.dataset(run / "catalog").to_table(columns=["id", "label", "confidence"]).to_pylist()
    by_class = {name: [r for r in rows if expected[r["id"]] == name] for name in CLASSES}
    columns = max(len(found) for found in by_class.values())
    cell = (SIDE + MARGIN, SIDE + TEXT + MARGIN)
    sheet = Image.new("RGB", (columns * cell[0] + MARGIN, len(CLASSES) * cell[1] + MARGIN), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for line, name in enumerate(CLASSES):
        for column, row in enumerate(sorted(by_class[name], key=lambda r: r["id"])):
            left, top = MARGIN + column * cell[0], MARGIN + line * cell[1]
            picture = Image.open(folder / f"{row['id']}.jpg")
            middle, half = picture.width // 2, 120
            picture = picture.crop((middle - half, middle - half, middle + half, middle + half))
            sheet.paste(picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (left, top))
            text = f"{row['label']} {row['confidence']:.2f}"
            if row["label"] != name:
                text += f" (not {name})"
            draw.text((left, top + SIDE + 1), text, fill="black", font=font)
    sheet.save(output, quality=88, optimize=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
