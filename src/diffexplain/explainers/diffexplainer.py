"""DiffExplainer (Pennisi et al., arXiv 2404.02618): optimise the prompt, not the pixels.

    class:  t* = argmin_t CE(classifier(G(t)), c)
    unit:   t* = argmax_t classifier_j(G(t))

G is a frozen text-conditioned latent diffusion model and t the embeddings of its prompt's tokens. The
paper's full text leaves open how many tokens, which learning rate, steps and sampler; those here are
design choices of this project.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import LightningModule
from lightning.pytorch.loggers import Logger
from torch import Tensor

from diffexplain.classifiers.classifier import Classifier
from diffexplain.diffusion import AnyPrior, TextPrior
from diffexplain.diffusion.gradients import Exact, GradientEstimator
from diffexplain.diffusion.memory import MemorySettings
from diffexplain.errors import Interrupted, UserError
from diffexplain.explainers.augmentation import Augmentation
from diffexplain.explainers.callbacks import (
    METRICS_FILE,
    Recorder,
    RunCheckpoint,
    SmoothedBest,
    StopOnSignal,
    callback_state,
    record_digest,
)
from diffexplain.explainers.checkpoint import read_checkpoint
from diffexplain.explainers.divergence import Diverged, unanswered
from diffexplain.explainers.explanation import Explanation
from diffexplain.explainers.objective import Objective, Outcome, objective_for
from diffexplain.explainers.screening import Beginning, screen
from diffexplain.explainers.training import StepCounter, TrainerSettings, build_trainer, quiet_lightning
from diffexplain.memory import REMEDY, explained
from diffexplain.progress import inside
from diffexplain.prompts.soft_prompt import SoftPrompt
from diffexplain.prompts.textual_inversion import textual_inversion
from diffexplain.runs.draws import Draws
from diffexplain.runs.run import PROMPT, Run
from diffexplain.target import ResolvedTarget
from diffexplain.weights.atomic import storage_errors

PROMPT_TOKEN = "<target>"
NEAREST_WORDS = 5
RETRIES = 3
"""Times that a step is made anew where a number is not finite."""
SLOWEST = 2.0**-8
"""The share of the learning rate below which nothing is tried anew."""


class DiffExplainer:
    """Finds the prompt whose images activate a target most.

    Args:
        prompt: makes the soft prompt from prior, words and draws, in this order: a prompt class with
            its other arguments filled in.
        steps: optimiser steps at most.
        batch: images a step, over all devices together.
        screening_images: of each word, from which the prompt begins (`screening`) where no screen of concepts says
            where; 0: it begins at random in any case.
        fresh_latents: draw new starting noise for each step; otherwise every step has the same.
        weight_decay: of AdamW.
        epsilon: of AdamW.
        stop_at: stop when the class probability, averaged over ``window`` steps, reaches this;
            ``None`` makes all steps. A unit's activation has no such scale: all steps are made.
        window: steps over which the score is averaged to choose the best prompt and to stop.
        without: what the prompt may not say, for another way to activate the target than one that is known; None: it
            may say everything.
        checkpoint_every: steps between checkpoints of the run.
        image_every: steps between pictures.
    """

    def __init__(
        self,
        prompt: Callable[..., SoftPrompt],
        *,
        steps: int = 40,
        batch: int = 8,
        screening_images: int = 4,
        fresh_latents: bool = True,
        weight_decay: float = 0.0,
        epsilon: float = 1e-8,
        stop_at: float | None = 0.95,
        window: int = 5,
        checkpoint_every: int = 5,
        image_every: int = 10,
        without: Sequence[str] | None = None,
    ) -> None:
        self.prompt = prompt
        self.steps = steps
        self.batch = batch
        self.screening_images = screening_images
        self.fresh_latents = fresh_latents
        self.weight_decay = weight_decay
        self.epsilon = epsilon
        self.stop_at = stop_at
        self.window = window
        self.checkpoint_every = checkpoint_every
        self.image_every = image_every
        self.without = without

    def explain(
        self,
        target: ResolvedTarget,
        classifier: Classifier,
        prior: AnyPrior,
        run: Run,
        *,
        vocabulary: Sequence[str],
        beginning: Beginning | None = None,
        augmentation: Augmentation | None = None,
        gradient: GradientEstimator | None = None,
        memory: MemorySettings | None = None,
        trainer: TrainerSettings | None = None,
        loggers: Sequence[Logger] = (),
    ) -> Explanation:
        """Optimise from the start, or from the run's checkpoint, and return the best prompt found.

        Args:
            vocabulary: words (not phrases) that the prompt is compared with or made of.
            beginning: what a screen of concepts found; None: there was none.
            augmentation: what the classifier is shown of an image; the image alone if ``None``.
            gradient: how the gradient reaches the prompt; `Exact` if ``None``.
            memory: what the prior keeps on the device; everything if ``None``.
            loggers: Lightning loggers that mirror the run's files.

        Raises:
            Interrupted: a signal asked to stop; the checkpoint is where the run goes on.
            Diverged: a loss or gradient was not finite; it carries the best explanation before.
            RetryableError: disk or device memory ran out.
            UserError: the batch cannot be shared among the devices.
        """
        settings = trainer or TrainerSettings()
        if self.batch % settings.devices:
            raise UserError(
                f"explainer.batch={self.batch} cannot be shared evenly by trainer.devices={settings.devices}."
            )
        prior.arrange(memory or MemorySettings())
        module = PromptOptimisation(
            self.prompt(prior, vocabulary, run.draws),
            prior,
            objective_for(target, classifier),
            gradient or Exact(),
            run.draws,
            self,
            augmentation,
            beginning,
        )
        stop_at = self.stop_at if target.kind == "class" else None
        best = SmoothedBest(min(self.window, self.steps), stop_at)
        checkpoint = self._checkpoint(run)
        if checkpoint is not None and callback_state(checkpoint, RunCheckpoint)["finished"]:
            best.load_state_dict(callback_state(checkpoint, SmoothedBest))
            return self._explanation(module, best, run)
        # A preset is another run, which begins anew.
        remedy = f"{REMEDY} A run with memory=low_vram, or with a smaller prior, needs less."
        try:
            with explained("for one image", remedy):
                self._optimise(module, best, run, settings, loggers, resume=checkpoint is not None)
        except Diverged as error:
            if best.best_prompt:
                error.explanation = self._explanation(module, best, run)
            raise
        finally:
            if prior.with_gradient.halvings and run.is_writer:
                run.record_timings(micro_batches_halved_from=prior.with_gradient.halvings)
        return self._explanation(module, best, run)

    def _optimise(
        self,
        module: PromptOptimisation,
        best: SmoothedBest,
        run: Run,
        settings: TrainerSettings,
        loggers: Sequence[Logger],
        resume: bool,
    ) -> None:
        recorder = Recorder(run, best, self.image_every)
        signals = StopOnSignal()
        keeper = RunCheckpoint(run.checkpoint_path, self.checkpoint_every, signals)
        with quiet_lightning():
            try:
                trainer = build_trainer(settings, self.steps, run.directory, [best, recorder, signals, keeper], loggers)
                trainer.fit(
                    module,
                    StepCounter(self.steps),
                    ckpt_path=str(run.checkpoint_path) if resume else None,
                    weights_only=True,
                )
            except MisconfigurationException as error:
                raise UserError(f"A logger or callback does not fit: {' '.join(str(error).split())}") from error
            except SystemExit as error:
                if not isinstance(error.__context__, KeyboardInterrupt):
                    raise
                # How the trainer ends on a second interrupt from the keyboard.
                raise Interrupted("SIGINT") from None
        if signals.received is not None:
            raise Interrupted(signals.received)
        if not keeper.finished:
            message = "A callback stopped the optimisation; callbacks watch a run, explainer.steps and stop_at end it."
            raise UserError(message, given=", ".join(type(one).__name__ for one in settings.callbacks))

    def _checkpoint(self, run: Run) -> dict[str, Any] | None:
        """The run's checkpoint, unless the record up to it is no longer there, or is another."""
        checkpoint = read_checkpoint(run.checkpoint_path)
        if checkpoint is None:
            return None
        record = callback_state(checkpoint, Recorder)
        found = record_digest(run.directory, record["length"])
        if found is None or found.hexdigest() != record.get("sha256"):
            message = f"{METRICS_FILE} or a picture in {run.directory} is damaged or gone: the prompt is found anew."
            warnings.warn(message, stacklevel=2)
            return None
        if run.is_writer:
            with storage_errors(run.directory):
                os.truncate(run.directory / METRICS_FILE, record["length"])
        return checkpoint

    def _explanation(self, module: PromptOptimisation, best: SmoothedBest, run: Run) -> Explanation:
        module.load_state_dict(best.best_prompt)
        prompt = module.prompt.eval()
        with torch.no_grad():
            embeddings = prompt.embeddings().cpu()
            condition = prompt().float().cpu()
        file = None if isinstance(module.prior, TextPrior) else PROMPT
        if file is not None:
            run.write_bytes(file, textual_inversion(embeddings, PROMPT_TOKEN))
        lines = (run.directory / METRICS_FILE).read_text(encoding="utf-8").splitlines()
        curve: tuple[dict[str, Any], ...] = tuple(json.loads(line) for line in lines)
        return Explanation(
            embeddings=embeddings,
            condition=condition,
            prefix=prompt.prefix,
            words=prompt.nearest_words(NEAREST_WORDS),
            curve=curve,
            best_step=best.best_step,
            best_score=best.best_score,
            steps=len(curve),
            stopped_early=best.stopped_early,
            images=tuple(row["image"] for row in curve if "image" in row),
            prompt_file=file,
        )


class PromptOptimisation(LightningModule):
    """The optimisation; its only parameter is the prompt's, prior and classifier are not its own."""

    def __init__(
        self,
        prompt: SoftPrompt,
        prior: AnyPrior,
        objective: Objective,
        gradient: GradientEstimator,
        draws: Draws,
        settings: DiffExplainer,
        augmentation: Augmentation | None = None,
        beginning: Beginning | None = None,
    ) -> None:
        super().__init__()
        self.prompt = prompt
        self.prior = prior
        self.objective = objective
        self.gradient = gradient
        self.draws = draws
        self.settings = settings
        self.augmentation = augmentation
        self.beginning = beginning
        self.gradient_norm = 0.0

    def setup(self, stage: str) -> None:
        self.prior.to(self.device)
        self.objective.to(self.device)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.prompt.parameters(),
            lr=self.prompt.learning_rate,
            weight_decay=self.settings.weight_decay,
            eps=self.settings.epsilon,
        )

    def on_train_start(self) -> None:
        # Not where a checkpoint has been restored.
        images = self.settings.screening_images
        if self.global_step > 0 or not images:
            return
        if self.beginning is not None:
            self.prompt.lean(self.beginning.log_weights(self.prompt))
        else:
            self.prompt.lean(screen(self.prompt, self.prior, self.objective, self.draws, images))

    @inside()
    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        causes: list[str] = []
        while True:
            loss, scores, images = self.gradient.estimate(  # of objective(G(t)) in t
                self.prompt, self.prior, self.latents(len(causes)), self.shown(), self.draws, self.global_step
            )
            cause = self._not_finite(loss, scores)
            if cause is None:
                break
            self._try_again(causes, cause)
        self.prompt.observe(self.gathered(loss.detach().reshape(1)).mean())
        loss = loss + self.prompt.penalty(self.global_step / self.settings.steps)
        means = self.gathered(torch.stack([loss.detach(), scores.mean()]).unsqueeze(0)).mean(dim=0)
        shown = {"loss": means[0], "score": means[1]}  # Loggers are shown the record.
        self.log_dict(shown, prog_bar=True, logger=False, batch_size=self.settings.batch)
        return {"loss": loss, "images": images, "mean_loss": means[0], "score": means[1], "causes": causes}

    def _try_again(self, causes: list[str], cause: str) -> None:
        """Forget what was made of this step: other noise, and half the learning rate from here on.

        Raises:
            Diverged: that was tried often enough, for this step or for all together.
        """
        causes.append(cause)
        groups = [group for optimizer in self.trainer.optimizers for group in optimizer.param_groups]
        if len(causes) > RETRIES or any(group["lr"] < self.prompt.learning_rate * SLOWEST for group in groups):
            raise Diverged(self.global_step, cause)
        for group in groups:
            group["lr"] /= 2

    def shown(self) -> Callable[[Tensor], Outcome]:
        """The objective of images as the classifier is shown them at this step."""
        if self.augmentation is None:
            return self.objective
        return self.augmentation.through(self.objective, self.draws, self.global_step)

    def latents(self, attempt: int = 0) -> Tensor:
        """This step's starting noise for this device's share of the batch, (B, C, h, w); each attempt has its own."""
        count = self.settings.batch // self.trainer.world_size
        step = self.global_step if self.settings.fresh_latents or attempt else 0
        start = self.global_rank * count
        purpose = f"optimise again {attempt}" if attempt else "optimise"
        return self.draws.normals(purpose, step, count, self.prior.latent_shape, start=start)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        gradients = [p.grad for p in self.prompt.parameters() if p.grad is not None]
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        if not torch.isfinite(norm):
            raise Diverged(self.global_step, f"the gradient's norm is {norm.item()}")
        self.gradient_norm = norm.item()

    def gathered(self, values: Tensor) -> Tensor:
        """Values of all devices in the order of the images' indices; all devices must call it."""
        if self.trainer.world_size == 1:
            return values
        return torch.cat(list(self.all_gather(values)))

    def _not_finite(self, loss: Tensor, scores: Tensor) -> str | None:
        """Which number of the step is not finite, if any; all devices say the same."""
        # Of the gradient, only what leads through the text encoder is computed a second time.
        parameters = [parameter for parameter in self.prompt.parameters() if parameter.requires_grad]
        gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        norm = torch.stack([part.norm() for part in gradients if part is not None]).norm()
        bad = (~scores.isfinite()).sum()
        parts = [part.to(loss) for part in (loss.detach(), scores.mean(), norm, bad)]
        of_all = self.gathered(torch.stack(parts).unsqueeze(0))
        for name, value in zip(("loss", "score", "gradient's norm"), of_all[:, :3].mean(dim=0), strict=True):
            if not torch.isfinite(value):
                return f"the {name} is {value.item()}{unanswered(int(of_all[:, 3].sum()), self.settings.batch)}"
        return None
