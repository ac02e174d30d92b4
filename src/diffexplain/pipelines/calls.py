"""What a run calls its networks on, counted from its configuration before any weights are read.

The edits are drawn as the run will draw them, so that the counts are those of the run. Where the classifier's answers
decide (which concepts are worth more images, when an optimisation stops, what is seen), the most is counted that they
can come to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from diffexplain.concepts import Concept, Hierarchy
from diffexplain.concepts.content_words import content_words
from diffexplain.concepts.vocabulary import Vocabulary, class_phrase
from diffexplain.config.configuration import COMPARED
from diffexplain.config.instantiate import TARGET, build, locate
from diffexplain.diffusion.gradients import SPSA, AttentionOnly, Checkpointed, Exact, LastK, Leap
from diffexplain.editing import Composition, LeditsPP, Paired, State, changed_states
from diffexplain.editing.checks import by_mask, by_similarity, phrases_of
from diffexplain.editing.paired_prompts import drawn_description
from diffexplain.effects.edits import all_but_words, looked_for
from diffexplain.effects.engine import Engine, Studied, interventions, subject_of
from diffexplain.effects.population import Images
from diffexplain.effects.results import Path
from diffexplain.errors import UserError
from diffexplain.evaluation import EvaluationSettings
from diffexplain.explainers import DiffEx, DiffExplainer, Discovery, Maco, Nguyen
from diffexplain.explainers.activation_maximisation import ActivationMaximisation
from diffexplain.explainers.beam_search import most_combinations
from diffexplain.explainers.natural_pictures import NATURAL
from diffexplain.explainers.screening import ROUNDS
from diffexplain.pipelines import photographs
from diffexplain.pipelines.testing import EXAMPLES, NEUTRAL_IMAGES, SEEN_IN, STRONGEST, WEAKEST
from diffexplain.prompts import WordProposer
from diffexplain.runs.draws import Draws
from diffexplain.target import ResolvedTarget

IMAGES = "images"
TEXT, DENOISER, DECODER, TINY_DECODER, ENCODER = "text encoder", "denoiser", "decoder", "tiny decoder", "encoder"
SEGMENTER, MASKS, SIMILARITY, CLASSIFIER = "segmenter", "masks", "similarity", "classifier"
BACKWARD = ", backward"
"""Ends the name of a network's calls whose gradient is taken, too; they are counted without it as well."""

Calls = Counter[str]
"""Samples that each network is called on, by its name; of `MASKS`, pairs of an image and a phrase."""
Edit = tuple[int, State]


@dataclass(frozen=True)
class Forecast:
    """What a run will call.

    Attributes:
        calls: of the whole run.
        exact: whether it will be just that; otherwise it is the most that it can be.
        phrases: looked for at once in an image, at most.
    """

    calls: Calls
    exact: bool
    phrases: int = 0

    def __add__(self, other: Forecast) -> Forecast:
        return Forecast(self.calls + other.calls, self.exact and other.exact, max(self.phrases, other.phrases))


def forecast(config: Mapping[str, Any], target: ResolvedTarget) -> Forecast:
    """What the run of ``config`` will call, or at most.

    Raises:
        UserError: it is a method, an editor or a source of concepts of which that is not known before.
    """
    kind = locate(str(config["explainer"][TARGET]), tuple(config["plugins"]), "explainer")
    counting = Counting(config, target)
    if kind is DiffExplainer:
        return counting.of_prompt()
    if kind is DiffEx or (isinstance(kind, type) and issubclass(kind, Discovery)):
        # A method that is its discovery alone has its settings there.
        return counting.of_effects(counting.built("discovery" if "discovery" in config else "explainer"))
    if isinstance(kind, type) and issubclass(kind, ActivationMaximisation):
        return counting.of_pictures()
    raise _unknown("explainer", config["explainer"]["name"])


class Counting:
    """Counts for one configuration; what it reads of it is what the run reads."""

    def __init__(self, config: Mapping[str, Any], target: ResolvedTarget) -> None:
        self.config, self.target = config, target
        diffusion = config["diffusion"]
        self.steps = int(diffusion["steps"])
        self.branches = 2 if float(diffusion.get("guidance", 1.0)) > 1 else 1
        parts = [source.get("part") for source in diffusion.get("weights") or ()]
        tiny = "tiny_decoder" in parts or diffusion.get("tiny_decoder_folder") or diffusion.get("full_decoder")
        self.optimised_by = TINY_DECODER if tiny else DECODER
        evaluation = config.get("evaluation") or {}
        self.own = 1 + len(config.get(COMPARED) or ())
        # Of a unit, the scores of all classes are read beside its activation.
        self.reading = 1 if target.kind == "class" else 2
        self.readers = self.reading * (self.own + (evaluation.get("control") is not None))

    def built(self, group: str, *arguments: Any) -> Any:
        """A part that needs no weights."""
        return build(self.config[group], *arguments, plugins=tuple(self.config["plugins"]), where=group)

    def generated(self, images: int, texts: int | None = None) -> Calls:
        """Of so many pictures by the prior, of one text each or of so many."""
        return Calls(
            {
                IMAGES: images,
                TEXT: images if texts is None else texts,
                DENOISER: images * self.steps * self.branches,
                DECODER: images,
            }
        )

    # Effects

    def of_effects(self, method: DiffEx | Discovery) -> Forecast:
        """Of concepts that are tested by a method, and the pictures of them that are shown."""
        engine: Engine = self.built("effects")
        composition = self._composition(engine)
        draws = Draws(int(self.config["seed"]), self.target.text)
        given = photographs.given(self.config, engine.images)
        count = engine.images if given is None else len(given.used)
        editing = self._editing(composition, draws, count, given is not None)
        calls = editing.prepared()
        if self.target.kind != "class":
            neutral = int((self.config.get("evaluation") or {}).get("images", NEUTRAL_IMAGES))
            calls += self.generated(neutral, 1) + Calls({CLASSIFIER: neutral * self.readers})
        if given is None and self.target.class_name is not None:  # The object itself is exchanged.
            calls += self.generated(count) + Calls({CLASSIFIER: count * self.readers})
        concepts = list(composition.concepts)
        exact = given is None and not self._stands_in(composition)
        if isinstance(method, Discovery):
            screened = method.screened(len(concepts))
            calls += self.generated(screened) + Calls({CLASSIFIER: screened * self.readers})
            few = min(method.others, count)
            base = editing.edits(concepts, Images(range(few), tested=True, rivals=few)) if few else set()
            every = Images(range(count), tested=True, rivals=0)  # those of the rivals are there already
            chosen = min(len(concepts), (method.tested + 2 * method.pairs) * self.own)
            more = [editing.calls(editing.edits([path], every) - base) for path in concepts]
            calls += editing.calls(base) + _largest(more, chosen)
            # Each was counted without the others, some of whose edits are its own.
            exact = exact and (few == count or chosen == 0)
        else:
            edits = editing.edits(concepts, Images(range(count), tested=True, rivals=count))
            calls += editing.calls(edits)
            exact = exact and engine.policy == "uniform"
            if method.beam:
                combinations = most_combinations(
                    composition, beam=method.beam, roots=method.roots, largest=method.largest
                )
                calls += editing.most(combinations * method.search_images * self.own, method.largest)
                exact = exact and not combinations
        if given is not None:  # As they are, to tell the target's own from the others.
            calls += Calls({CLASSIFIER: count * self.reading})
        if given is not None and given.used[0].label is not None:
            # All of them are read, and how well concepts are seen is tried.
            whole, tried = len(given.used) + len(given.rest), 2 * SEEN_IN * len(concepts)
            calls += self.generated(tried) + Calls({CLASSIFIER: whole * self.reading})
            calls += times(_looks(composition, tuple(concepts)), whole + tried)
        # Of two values that mirror each other one is shown.
        mirrored = sum(len(composition.rivals(path)) == 1 for path in concepts) // 2
        exact = exact and (mirrored == 0 or len(concepts) - mirrored >= STRONGEST + WEAKEST)
        shown = 2 * min(len(concepts), STRONGEST + WEAKEST) * min(EXAMPLES, count, engine.chunk)
        calls += editing.made(shown, 1) + Calls({CLASSIFIER: shown * self.reading})
        phrases = phrases_of(composition, [path for path in concepts if by_mask(composition, path)])
        return Forecast(calls, exact, max(len(phrases), len(concepts)))

    def _composition(self, engine: Engine) -> Composition:
        proposer = self.built("concepts")
        if isinstance(proposer, WordProposer):  # Which words they are makes no difference.
            words = (Concept(f"word {number}", f"word{number}", "word") for number in range(proposer.clusters))
            hierarchy = Hierarchy(proposer.domain, tuple(words))
        elif hasattr(proposer, "domain"):  # It looks at images that the run makes.
            raise _unknown("concepts", self.config["concepts"]["name"])
        else:
            hierarchy = proposer.propose(None, self.target)
        studied: Any = Studied(self.config["classifier"]["name"], None, self.target)  # type: ignore[arg-type]
        return Composition(hierarchy, subject_of(hierarchy, [studied]), engine.opening)

    def _stands_in(self, composition: Composition) -> bool:
        return bool(composition.words()) and self.config["concepts"]["name"] == "words"

    def _editing(self, composition: Composition, draws: Draws, count: int, given: bool) -> Editing:
        node = self.config["editor"]
        kind = locate(str(node[TARGET]), tuple(self.config["plugins"]), "editor")
        if kind is Paired:
            settings = {key: node[key] for key in ("stated", "companion_share") if key in node}
            states = [drawn_description(composition, draws, index, **settings) for index in range(count)]
            once = self.generated(1)
            return Editing(composition, draws, states, self.readers, once, once, Calls())
        if kind is LeditsPP:
            # What photographs show is not known; if they show nothing, no more edits are made than otherwise.
            steps = int(node.get("steps", 50))
            once = Calls({IMAGES: 1, TEXT: 1, DENOISER: steps, DECODER: 1})
            inverted = Calls({TEXT: 1, DENOISER: steps, ENCODER: 1}) + once
            term = Calls({TEXT: 1, DENOISER: steps})
            return Editing(composition, draws, [frozenset()] * count, self.readers, inverted, once, term, given=True)
        raise _unknown("editor", node["name"])

    # A prompt

    def of_prompt(self) -> Forecast:
        """Of concepts, the optimisation of a prompt, and its evaluation."""
        found = Forecast(Calls(), True)
        if self.target.class_name is not None:
            found += self.of_effects(self.built("discovery"))
        return found + self._optimised(screened=self.target.class_name is not None) + self._evaluated(found)

    def _optimised(self, screened: bool) -> Forecast:
        explainer: DiffExplainer = self.built("explainer", None)
        gradient = self.built("gradient")
        images = explainer.steps * explainer.batch
        forward, backward = passes(gradient, self.steps)
        probes = gradient.passes if isinstance(gradient, SPSA) else 1
        read = images * probes * self._views()
        calls = Calls(
            {IMAGES: images * probes, TEXT: explainer.steps * probes, DENOISER: images * forward * self.branches}
        )
        calls += Calls({self.optimised_by: images * probes, CLASSIFIER: read, TEXT: 2})
        if backward:
            calls[DENOISER + BACKWARD] = images * backward * self.branches
            calls |= {
                TEXT + BACKWARD: explainer.steps,
                self.optimised_by + BACKWARD: images,
                CLASSIFIER + BACKWARD: read,
            }
        if explainer.screening_images and not screened:
            shown = ROUNDS * len(self._words()) * explainer.screening_images
            calls += self.generated(shown) + Calls({CLASSIFIER: shown})
        whole = explainer.stop_at is None or self.target.kind != "class"
        return Forecast(calls, whole and (screened or not explainer.screening_images))

    def _views(self) -> int:
        return int(self.config["augmentation"].get("views", 1))

    def _words(self) -> list[str]:
        classifier = self.config["classifier"]
        vocabulary = Vocabulary.load(classifier["vocabulary"], classifier.get("more_phrases"))
        own = [] if self.target.class_name is None else [class_phrase(self.target.class_name)]
        return content_words([*own, *(phrase.said for phrase in vocabulary.phrases)])

    def _evaluated(self, effects: Forecast) -> Forecast:
        settings: EvaluationSettings = self.built("evaluation")
        if settings.captions not in (None, "clip"):
            raise _unknown("evaluation.captions", settings.captions)
        named = self.target.class_name is not None
        rows = 2 + named + len(settings.texts)
        scored = rows * settings.images + settings.random_images
        calls = self.generated(rows * settings.images, rows) + self.generated(settings.random_images)
        looked = min(settings.looked_images, settings.images)
        if settings.captions:
            scored += settings.images
            calls += self.generated(settings.images) + Calls({SIMILARITY: looked})
        readers = self.reading * (1 + (settings.control is not None))
        read = scored + (settings.images if self.target.kind != "class" else 0)
        calls[CLASSIFIER] += read * readers
        singles = settings.candidates
        tried = singles + min(settings.pairs_of_phrases, max(0, singles - 1))
        if tried:
            chosen = tried * settings.choosing_images + settings.rescoring_images
            calls += self.generated(chosen, tried + 1) + Calls({CLASSIFIER: chosen * self.reading})
        if named:
            calls += Calls({SIMILARITY: looked + 2 * settings.images})
            calls += Calls({SEGMENTER: looked, MASKS: looked * effects.phrases})
        if settings.quality:
            calls[SIMILARITY] += scored + (settings.images if settings.reference else 0)
        return Forecast(calls, False)

    # Pictures

    def of_pictures(self) -> Forecast:
        """Of pictures that are optimised themselves, and their activation."""
        method: ActivationMaximisation = self.built("explainer")
        given = photographs.given(self.config, NATURAL)
        read = method.images * method.steps * self._views()
        calls = Calls({IMAGES: method.images, CLASSIFIER: read, CLASSIFIER + BACKWARD: read})
        if isinstance(method, Maco | Nguyen) and given is None:
            calls += self.generated(NATURAL, 1)
        if isinstance(method, Nguyen):
            calls[ENCODER] = NATURAL if given is None else len(given.used)
            calls[self.optimised_by] += method.images * method.steps
            calls[self.optimised_by + BACKWARD] = method.images * method.steps
            calls[DECODER] += method.images
        rows = 1 + (self.target.class_name is not None)
        calls += self.generated(rows * method.images, rows)
        calls[CLASSIFIER] += (1 + rows + (self.target.kind != "class")) * method.images * self.reading
        return Forecast(calls, True)


@dataclass(frozen=True)
class Editing:
    """Edits of one population, and what each costs.

    Attributes:
        composition: subject and concepts.
        draws: of the run.
        states: what each image shows before any edit.
        readers: classifiers that read each image.
        preparing: calls for an image, its null edit among them.
        editing: for an edit, and
        term: for each concept that is put in or taken out, beside those.
        given: photographs are edited, in which is looked for what they show.
    """

    composition: Composition
    draws: Draws
    states: Sequence[State]
    readers: int
    preparing: Calls
    editing: Calls
    term: Calls
    given: bool = False

    def prepared(self) -> Calls:
        """For all images."""
        looks = _looks(self.composition, tuple(all_but_words(self.composition)))
        if self.given:
            shown = [path for path in self.composition.concepts if by_mask(self.composition, path)]
            looks = looks + _looks(self.composition, tuple(shown))
        read = Calls({CLASSIFIER: self.readers * (1 + self.given)})
        return times(self.preparing + looks + read, len(self.states))

    def edits(self, paths: Iterable[Path], those: Images) -> set[Edit]:
        """What is made for concepts on these images, each edit once."""
        found: set[Edit] = set()
        asked = {
            (tuple(changes), indices)
            for path in paths
            for changes, indices in interventions(self.composition, path, those)
        }
        for changes, indices in asked:
            before = [self.states[index] for index in indices]
            after = changed_states(self.composition, before, indices, changes, self.draws)
            found |= {(i, now) for i, now, was in zip(indices, after, before, strict=True) if now != was}
        return found

    def calls(self, edits: Iterable[Edit]) -> Calls:
        """For these."""
        changed = Counter(self.states[index] ^ state for index, state in edits)
        if self.given:
            return self.most(changed.total(), 1)
        total = self.made(changed.total(), 0)
        total[CLASSIFIER] += changed.total() * self.readers
        for difference, count in changed.items():
            total += times(
                _looks(self.composition, tuple(looked_for(self.composition, frozenset(), difference))), count
            )
        return total

    def most(self, count: int, together: int) -> Calls:
        """For so many edits, whichever they are, of so many concepts at once."""
        looks = _looks(self.composition, tuple(self.composition.concepts))
        read = Calls({CLASSIFIER: self.readers})
        return self.made(count, max(together, self._deepest()) if self.given else 0) + times(looks + read, count)

    def made(self, count: int, terms: int) -> Calls:
        """For so many pictures of that many terms, that nobody looks at."""
        return times(self.editing + times(self.term, terms), count)

    def _deepest(self) -> int:
        return max((len(path) for path in self.composition.concepts), default=0)


@lru_cache(maxsize=4096)
def _looks(composition: Composition, paths: tuple[Path, ...]) -> Calls:
    """For one image in which these concepts are looked for."""
    things = [path for path in paths if by_mask(composition, path)]
    similar = any(by_similarity(composition, path) for path in paths)
    return Calls({SEGMENTER: 1, MASKS: len(phrases_of(composition, things)), SIMILARITY: int(similar)})


def passes(gradient: Any, steps: int) -> tuple[int, int]:
    """Calls of the denoiser for each image of an optimisation step, without gradient or with, and those with.

    Raises:
        UserError: an estimator of which that is not known.
    """
    match gradient:
        case SPSA():
            return gradient.passes * steps, 0
        case Checkpointed():
            return 2 * steps, steps
        case LastK():
            return steps, min(gradient.k, steps)
        case Leap():
            return steps + min(gradient.leaps, steps), min(gradient.leaps, steps)
        case Exact() | AttentionOnly():
            return steps, steps
    raise _unknown("gradient", type(gradient).__name__)


def times(calls: Calls, count: int) -> Calls:
    """All of them so many times."""
    return Calls({name: number * count for name, number in calls.items()})


def _largest(alternatives: Sequence[Calls], count: int) -> Calls:
    """At most what so many of the alternatives can come to, whichever they are."""
    names = {name for calls in alternatives for name in calls}
    return Calls({name: sum(sorted((calls[name] for calls in alternatives), reverse=True)[:count]) for name in names})


def _unknown(key: str, given: object) -> UserError:
    return UserError("What this calls is not known before the run.", given=f"{key}={given}")
