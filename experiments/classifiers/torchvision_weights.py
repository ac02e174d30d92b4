"""Writes where torchvision's classifiers have their weights: `python -m experiments.classifiers.torchvision_weights`.

From the metadata of the installed torchvision, so that `diffexplain fetch` need not import it.
"""

import json
from pathlib import Path

from torchvision import models

FILE = Path(__file__).parents[2] / "src" / "diffexplain" / "classifiers" / "data" / "torchvision_weights.json"


def main() -> None:
    table = {}
    for model in models.list_models(module=models):
        versions = models.get_model_weights(model)
        table[model] = {
            # Several names may stand for one entry; DEFAULT is one of them.
            version: {"url": entry.url, "megabytes": round(entry.meta["_file_size"])}
            for version, entry in versions.__members__.items()
            if entry.meta["categories"]  # Without them, it is no classifier.
        }
    lines = ",\n".join(f"  {json.dumps(model)}: {json.dumps(versions)}" for model, versions in table.items())
    FILE.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
