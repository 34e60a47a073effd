"""The objects of a Kubernetes manifest, a file, as JSON: what PyYAML reads of it.

A key that stands twice in a mapping, of which YAML's readers keep one, is an error.
"""

import json
import sys

import yaml


class Loader(yaml.SafeLoader):
    """That refuses doubled keys."""


def mapping(loader: Loader, node: yaml.MappingNode) -> dict:
    keys = [loader.construct_object(key) for key, _ in node.value]
    assert len(set(keys)) == len(keys), f"a key stands twice: {keys}"
    return loader.construct_mapping(node, deep=True)


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)

json.dump(list(yaml.load_all(open(sys.argv[1], encoding="utf-8"), Loader)), sys.stdout)
