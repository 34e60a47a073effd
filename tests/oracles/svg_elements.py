"""Parses an SVG strictly; prints how many elements of each kind there are and
every text."""

import sys
from collections import Counter
from xml.etree import ElementTree

root = ElementTree.parse(sys.argv[1]).getroot()
namespace = "{http://www.w3.org/2000/svg}"
assert root.tag == namespace + "svg", root.tag
for kind, count in Counter(e.tag.removeprefix(namespace) for e in root.iter()).items():
    print(kind, count)
for element in root.iter(namespace + "text"):
    print("text", element.text)
