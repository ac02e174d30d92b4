#!/usr/bin/env bash
# Makes all trained parts of the embedded world from nothing. Each recipe goes on from its checkpoint in
# outputs/world/ when it is started again. With a GPU, one after the other; options are handed to each recipe's help.
set -euo pipefail
cd "$(dirname "$0")"
python train_clip.py --stage text        # tokenizer and text tower
python train_autoencoder.py              # latents that stand still, and their decoder
python train_prior.py                    # the denoiser
python train_clip.py --stage vision      # CLIP's vision tower and CLIPSeg
python train_classifiers.py              # two fair and two shortcut classifiers
python train_oracle.py                   # the judge of the gates, apart from all others
python truth_tables.py                   # what the classifiers learned
cd ../..
python -m experiments.world.check
