"""Salient ImageNet's classifier: fetched as a pickle, converted once, read as safetensors."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet50

from diffexplain import cli
from diffexplain.classifiers import load_robust_resnet50, unit_modules
from diffexplain.config import configuration
from diffexplain.errors import UserError


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of fetched files, empty."""
    monkeypatch.setenv("DIFFEXPLAIN_CACHE", str(tmp_path / "store"))
    return tmp_path / "store"


def put_in_store(store: Path, source: dict[str, str], content: bytes) -> Path:
    """As if `diffexplain fetch` had brought it."""
    path = store / "files" / "imagenet_l2_3_0.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    record = {"sha256": sha256(content).hexdigest(), "bytes": len(content)}
    lock = {"schema_version": 1, "repositories": {}, "files": {source["url"]: record}}
    (store / "lock.json").write_text(json.dumps(lock))
    return path


def test_fetched_converted_and_loaded_it_is_the_published_network(store: Path, tmp_path: Path) -> None:
    weights = configuration.compose(["classifier=robust_resnet50"])["classifier"]["weights"]
    with pytest.raises(UserError, match="diffexplain fetch classifier=robust_resnet50"):
        load_robust_resnet50(weights=weights)

    torch.manual_seed(0)
    network = resnet50().eval()
    own = network.state_dict()
    published = {f"module.model.{name}": value for name, value in own.items()}
    published |= {f"module.attacker.model.{name}": value for name, value in own.items()}
    published["module.normalizer.new_mean"] = torch.ones(3, 1, 1)
    torch.save({"model": published, "epoch": 105}, tmp_path / "published.pt")
    path = put_in_store(store, weights[0], (tmp_path / "published.pt").read_bytes())
    with pytest.raises(UserError, match=f"diffexplain convert {path}"):
        load_robust_resnet50(weights=weights)

    assert cli.main(["convert", str(path)]) == 0
    classifier = load_robust_resnet50(weights=weights)
    images = torch.rand(1, 3, 256, 256)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        torch.testing.assert_close(classifier(images), network((images[..., 16:240, 16:240] - mean) / std))
    assert classifier.labels.resolve("flagpole") == 557


def test_the_labelled_features_are_units() -> None:
    assert unit_modules(load_robust_resnet50(weights=[], meta=True))["avgpool"] == 2048
