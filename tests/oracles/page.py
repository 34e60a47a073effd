"""What a page says, read with Python's own HTML parser, as JSON.

usage: page.py FILE

{"title", "sections": {id: text}, "tables": {section: [[cell, ...], ...]},
 "ids": [...], "anchors": [...], "images": [alt, ...], "figures": {section: n},
 "elsewhere": [addresses that are not within the page], "scripts": n, "policy",
 "unknown": [elements that a page of ours does not have]}
"""

import json
import sys
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "img", "input", "hr"}
KNOWN = VOID | set(
    "html head title style body header h1 h2 h3 nav main section footer script p div span b strong a "
    "bdi code ul li dl dt dd table thead tbody tfoot tr th td figure figcaption details summary pre svg g "
    "text tspan rect path circle polyline image".split()
)


class Page(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.section = [], "top"
        self.found = {
            "title": "", "sections": {}, "tables": {}, "ids": [], "anchors": [], "images": [], "figures": {},
            "elsewhere": [], "scripts": 0, "policy": "", "unknown": [],
        }

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        found = self.found
        if tag not in KNOWN:
            found["unknown"].append(tag)
        for name, value in attributes.items():
            if name.startswith("on"):
                found["unknown"].append(f"{tag} {name}")
            if name in ("href", "src") and value:
                if value.startswith("#"):
                    found["anchors"].append(value[1:])
                elif not value.startswith("data:"):
                    found["elsewhere"].append(value)
        if "id" in attributes:
            found["ids"].append(attributes["id"])
        if tag == "section":
            self.section = attributes["id"]
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy":
            found["policy"] = attributes["content"]
        if tag == "img":
            found["images"].append(attributes["alt"])
        if tag == "figure":
            found["figures"][self.section] = found["figures"].get(self.section, 0) + 1
        if tag == "script":
            found["scripts"] += 1
        if tag == "tr":
            found["tables"].setdefault(self.section, []).append([])
        if tag in ("td", "th"):
            found["tables"][self.section][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.found["unknown"].append(f"/{tag}")
        if tag == "section":
            self.section = "bottom"

    def handle_data(self, data):
        if not self.open or self.open[-1] in ("script", "style"):
            return
        if "title" in self.open and "svg" not in self.open:
            self.found["title"] += data
            return
        sections = self.found["sections"]
        sections[self.section] = sections.get(self.section, "") + data
        if "td" in self.open or "th" in self.open:
            self.found["tables"][self.section][-1][-1] += data


page = Page()
with open(sys.argv[1], encoding="utf-8", newline="") as file:
    page.feed(file.read())
page.close()
if page.open:
    page.found["unknown"].append(f"left open: {page.open}")
print(json.dumps(page.found))
