"""What a vision-language model is asked, and the hierarchy made of its answers.

Two kinds of question, as in DiffEx (arXiv 2412.18604), in words of our own: the categories of what can differ in images
of the domain, and then, for each category, the sub-types of its concepts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from diffexplain.concepts.asking import Respondent, Turn, ask
from diffexplain.concepts.concept import Concept, Kind
from diffexplain.concepts.merging import Draft, Similarity, draft_of, finished, merged, normal_form
from diffexplain.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

_TEXT_LIMIT = 80
"""Letters of a concept; what is longer is a sentence and no concept."""

_CATEGORIES = """\
You help to find out what an image classifier looks at. The domain is: {domain}. {shown}

List what can visibly differ between images of this domain, as concepts that an image editor could put in, take out or \
exchange. Think of parts and their shapes, colours, patterns and materials, condition, expression or pose, things worn \
or carried, things and beings beside it, the place, the light and the weather. Name what fits the domain and leave out \
the rest; include what merely comes along with {domain}, since a classifier may rely on that.

Group the concepts by category. Each category has a kind:
- "object": its concepts are things or parts that may be there or not, as noun phrases: "a red hat", "curly hair";
- "attribute": its concepts are values of {domain} itself, as adjectives or phrases that follow the noun: "striped", \
"seen from the side";
- "setting": its concepts are surroundings, light or weather of the whole image: "in the snow", "at night".

Every concept is short, concrete and visible, and is named once. At most {categories} categories with at most \
{concepts} concepts each, the most likely to matter first.

{form}"""

_SUBTYPES = """\
You help to find out what an image classifier looks at. The domain is: {domain}.

These are concepts of the category "{category}":
{listed}

For each of them give its sub-types: finer, visibly different kinds of it, each as a phrase that can stand in its \
place ("a flag": "a striped flag", "a plain flag"). At most {subtypes} for each; an empty list where a concept has no \
natural sub-types. Repeat the concepts exactly as they are written here.

{form}"""

_FORM = "Answer with one JSON object and nothing else. Its JSON schema is:\n{schema}"


class _Strict(BaseModel):
    """Every key is required and no other is taken, as endpoints with structured output ask for."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Category(_Strict):
    """One category with the texts of its concepts."""

    name: str
    kind: Literal["object", "attribute", "setting"]
    concepts: list[str]


class Categories(_Strict):
    """The answer to the first question."""

    categories: list[Category]

    @field_validator("categories")
    @classmethod
    def _some(cls, categories: list[Category]) -> list[Category]:
        # Not as `minItems`, which not every endpoint takes in a schema.
        if not any(category.concepts for category in categories):
            raise ValueError("there must be at least one category with a concept")
        return categories


class Expansion(_Strict):
    """A concept and the texts of its sub-types."""

    concept: str
    subtypes: list[str]


class Expansions(_Strict):
    """The answer for one category."""

    expansions: list[Expansion]


@dataclass(frozen=True)
class Extent:
    """How much is asked for: categories, concepts of each, sub-types of each of those; 0 sub-types: not asked for.

    Raises:
        UserError: nothing is asked for.
    """

    categories: int = 12
    concepts: int = 8
    subtypes: int = 5

    def __post_init__(self) -> None:
        if self.categories < 1 or self.concepts < 1 or self.subtypes < 0:
            raise UserError("At least one category of one concept is asked for.", given=self)


def elicit(
    respondent: Respondent,
    subject: str,
    images: Sequence[Image],
    extent: Extent,
    similarity: Similarity | None = None,
    same_above: float = 0.95,
) -> tuple[Concept, ...]:
    """The roots of a hierarchy as the respondent sees the domain; duplicates are merged.

    Args:
        subject: the domain's phrase: "a bird".
        images: of the domain, shown with the first question; may be none.
        extent: how much is asked for; what is given beyond it is dropped.
        similarity: as `merging.merged`.
        same_above: likewise.

    Raises:
        UserError, RetryableError: as `asking.ask`; or the answer names no concept.
    """
    shown = "The images show it." if images else "There are no images; go by what you know of it."
    text = _CATEGORIES.format(
        domain=subject, shown=shown, categories=extent.categories, concepts=extent.concepts, form=_form(Categories)
    )
    answer = ask(respondent, Turn("user", text, tuple(images)), Categories)
    drafts = []
    for category in answer.categories[: extent.categories]:
        concepts = [draft_of(text, category.kind) for text in _plain(category.concepts)[: extent.concepts]]
        name = draft_of(" ".join(category.name.split())[:_TEXT_LIMIT], category.kind).name
        drafts.append(Draft(name or category.kind, "", category.kind, concepts))
    drafts = merged(drafts, similarity, same_above)  # before each is asked about
    if not drafts:
        raise UserError(f"{respondent.name} named no concept.", given=subject)
    if extent.subtypes:
        for category_draft in drafts:
            _expand(respondent, subject, category_draft, extent.subtypes)
    return finished(merged(drafts, similarity, same_above))


def _expand(respondent: Respondent, subject: str, category: Draft, most: int) -> None:
    """Put the sub-types of a category's concepts below them."""
    listed = "\n".join(f"- {concept.text}" for concept in category.children)
    text = _SUBTYPES.format(
        domain=subject, category=category.name, listed=listed, subtypes=most, form=_form(Expansions)
    )
    answer = ask(respondent, Turn("user", text), Expansions)
    subtypes = {normal_form(expansion.concept): expansion.subtypes for expansion in answer.expansions}
    for concept in category.children:
        kind: Kind = "attribute" if concept.kind == "object" else concept.kind
        texts = _plain(subtypes.get(normal_form(concept.text), []))[:most]
        concept.children += [draft_of(text, kind) for text in texts]


def _plain(texts: Sequence[str]) -> list[str]:
    """Those of the texts that can be a concept's, on one line, without a full stop."""
    lines = (" ".join(text.split()).rstrip(".") for text in texts)
    return [line for line in lines if len(line) <= _TEXT_LIMIT and line.isprintable() and draft_of(line, "object").name]


def _form(answer: type[BaseModel]) -> str:
    return _FORM.format(schema=json.dumps(answer.model_json_schema(), sort_keys=True))
