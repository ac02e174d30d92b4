#!/usr/bin/env bash
# Makes all trained parts of the embedded world from nothing. Each recipe goes on from its checkpoint in
# outputs/world/ when it is started again. With a GPU, one after the other; options are handed to each recipe's help.
set -euo pipefail
cd "$(dirname "$0")/../.."
python -m experiments.world.train_clip --stage text        # tokenizer and text tower
python -m experiments.world.train_autoencoder              # latents that stand still, and their decoder
python -m experiments.world.train_prior                    # the denoiser
python -m experiments.world.train_clip --stage vision      # CLIP's vision tower and CLIPSeg
python -m experiments.world.train_classifiers              # two fair and two shortcut classifiers
python -m experiments.world.train_oracle                   # the judge of the gates, apart from all others
python -m experiments.world.truth_tables                   # what the classifiers learned
python -m diffexplain.weights.shipped                      # their checksums, by which runs know them
python -m experiments.world.check
