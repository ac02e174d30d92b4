"""Writes the package's ImageNet class names from timm's lists: `python -m experiments.classifiers.imagenet_labels`.

Facts only: the index of each class, its WordNet id and the words of that synset. The name is the first word, the
others are its synonyms; the slug is the name in lower case, with the WordNet id where several classes share it.
"""

import json
import re
from collections import Counter
from pathlib import Path

from timm.data.imagenet_info import ImageNetInfo

FILE = Path(__file__).parents[2] / "src" / "diffexplain" / "classifiers" / "data" / "imagenet_labels.json"
SOURCE = "Index, WordNet id and words of each class, from timm's ImageNetInfo by experiments/classifiers/{}"


def main() -> None:
    info = ImageNetInfo("imagenet-1k")
    wnids = info.label_names()
    words = [info.index_to_description(index).split(", ") for index in range(len(wnids))]
    slugs = [re.sub(r"[^a-z0-9]+", "_", names[0].lower()).strip("_") for names in words]
    times = Counter(slugs)
    rows = [
        {
            "index": index,
            "wnid": wnid,
            "name": name,
            "slug": slug if times[slug] == 1 else f"{slug}_{wnid}",
            "synonyms": synonyms,
        }
        for index, (wnid, (name, *synonyms), slug) in enumerate(zip(wnids, words, slugs, strict=True))
    ]
    lines = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in rows)
    head = f'  "name": "imagenet",\n  "source": {json.dumps(SOURCE.format(Path(__file__).name))},\n'
    FILE.write_text(f'{{\n{head}  "classes": [\n{lines}\n  ]\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
