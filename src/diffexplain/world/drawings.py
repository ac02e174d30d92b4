"""How each subject and companion of the world looks. No part that matters is thinner than three pixels."""

from __future__ import annotations

from diffexplain.world.shapes import (
    BODY,
    DARK,
    LIGHT,
    Drawing,
    box,
    circle,
    difference,
    ellipse,
    intersection,
    line,
    polygon,
    ring,
    union,
)

WOOD = (122, 82, 48)
LEAF = (46, 120, 58)

SUBJECT_DRAWINGS: dict[str, Drawing] = {
    "flagpole": Drawing(
        (
            (polygon((-9, 22), (-6, 16), (6, 16), (9, 22)), BODY),
            (box(-3, -18, 3, 17), BODY),
            (circle(0, -19, 4.2), (214, 170, 60)),
        ),
        9, 24,
    ),
    "bee": Drawing(
        (
            (polygon((-15, 3), (-9, -1), (-9, 7)), DARK),
            (ellipse(-4, -8, 4.5, 7.5), LIGHT),
            (ellipse(4, -8, 4.5, 7.5), LIGHT),
            (ellipse(-1, 3, 11, 7.5), BODY),
            (circle(10, 1, 5), DARK),
        ),
        15, 16,
    ),
    "dog_sled": Drawing(
        (
            (union(line(-14, 10, 10, 10, 3.2), line(10, 10, 14, 5, 3.2)), WOOD),
            (union(line(-9, 4, -9, 10, 3), line(6, 4, 6, 10, 3)), WOOD),
            (line(-10, 4, -14, -11, 3.2), WOOD),
            (polygon((-12, -4), (-10, 5), (10, 5), (13, 0), (2, -1), (-2, -4)), BODY),
        ),
        16, 13,
    ),
    "padlock": Drawing(
        (
            (
                union(
                    intersection(ring(0, -6, 7.5, 4), box(-20, -20, 20, -6)),
                    box(-9.5, -6, -5.5, 1), box(5.5, -6, 9.5, 1),
                ),
                (150, 154, 166),
            ),
            (box(-12, -1, 12, 16), BODY),
            (union(circle(0, 6, 2.6), box(-1.6, 6, 1.6, 12)), DARK),
        ),
        12, 17,
    ),
    "snorkel": Drawing(
        (
            (union(line(12, -16, 12, 8, 4.2), line(12, 8, 2, 13, 4.2)), BODY),
            (union(box(-14, -7, 8, 6), circle(-14, -0.5, 3)), BODY),
            (box(-11, -4, 5, 2.5), (178, 222, 236)),
        ),
        17, 18,
    ),
    "umbrella": Drawing(
        (
            (union(box(-1.7, -2, 1.7, 17), intersection(ring(-3.5, 16, 3.6, 3.4), box(-9, 16, 9, 24))), WOOD),
            (
                difference(
                    intersection(circle(0, 0, 15), box(-16, -16, 16, 1)),
                    union(circle(-10, 3, 4.6), circle(0, 3, 4.6), circle(10, 3, 4.6)),
                ),
                BODY,
            ),
        ),
        15.5, 22,
    ),
    "yawl": Drawing(
        (
            (box(-1.6, -18, 1.6, 8), WOOD),
            (polygon((2.5, -17), (2.5, 5), (15, 5)), BODY),
            (polygon((-2.5, -12), (-2.5, 5), (-13, 5)), BODY),
            (polygon((-15, 8), (15, 8), (10, 16), (-10, 16)), WOOD),
        ),
        16, 19,
    ),
    "hourglass": Drawing(
        (
            (polygon((-10, -14), (10, -14), (1.8, 0), (10, 14), (-10, 14), (-1.8, 0)), BODY),
            (box(-12, -17, 12, -13), WOOD),
            (box(-12, 13, 12, 17), WOOD),
        ),
        12.5, 18,
    ),
    "teapot": Drawing(
        (
            (ring(-10, 2, 5.5, 3.4), BODY),
            (polygon((7, 8), (15, -6), (12, -8), (6, 0)), BODY),
            (ellipse(0, 3, 11, 9.5), BODY),
            (ellipse(0, -6, 6, 2.4), DARK),
            (circle(0, -9.5, 2.4), DARK),
        ),
        17.5, 13,
    ),
    "mushroom": Drawing(
        (
            (polygon((-4.5, 0), (4.5, 0), (6, 15), (-6, 15)), LIGHT),
            (intersection(ellipse(0, 1, 14, 14), box(-16, -16, 16, 1)), BODY),
        ),
        14.5, 15.5,
    ),
    "balloon": Drawing(
        (
            (union(line(-8, 2, -3, 14, 2.2), line(8, 2, 3, 14, 2.2)), WOOD),
            (union(circle(0, -7, 13), polygon((-11, 0), (11, 0), (4, 9), (-4, 9))), BODY),
            (box(-4.5, 13, 4.5, 19), WOOD),
        ),
        13.5, 20.5,
    ),
    "acoustic_guitar": Drawing(
        (
            (box(-1.8, -21, 1.8, 4), WOOD),
            (box(-3.6, -22, 3.6, -16), DARK),
            (union(circle(0, 13, 9.5), circle(0, 2, 7)), BODY),
            (circle(0, 5, 3), DARK),
        ),
        10, 23,
    ),
}  # fmt: skip
"""Each at most about 32 pixels wide and 46 high at scale 1."""


def _flag(*bands: tuple[tuple[float, float, float, float], tuple[int, int, int]]) -> Drawing:
    cloth = polygon((-7.5, -6), (-2.5, -4.4), (2.5, -6), (7.5, -4.4), (7.5, 6), (2.5, 4.4), (-2.5, 6), (-7.5, 4.4))
    return Drawing(((cloth, LIGHT), *((intersection(cloth, box(*extent)), paint) for extent, paint in bands)), 8, 7)


def _flower(petal: tuple[int, int, int], centre: tuple[int, int, int]) -> Drawing:
    petals = union(*(circle(x, y - 4, 3.1) for x, y in ((0, -4), (3.8, -1.2), (2.4, 3.2), (-2.4, 3.2), (-3.8, -1.2))))
    return Drawing(
        (
            (union(line(0, 0, 0, 9, 3), line(0, 7, 4, 4, 3)), LEAF),
            (petals, petal),
            (circle(0, -4, 2.6), centre),
        ),
        7.2, 11,
    )  # fmt: skip


def _dog(coat: tuple[int, int, int]) -> Drawing:
    return Drawing(
        (
            (line(-6, -1, -8, -5, 3), coat),
            (union(box(-5.5, 1, -2.5, 7), box(1, 1, 4, 7)), coat),
            (ellipse(-0.5, 0.5, 6.5, 3.6), coat),
            (union(circle(5, -3.6, 3.6), ellipse(7.2, -2.6, 2.4, 1.7)), coat),
            (ellipse(3.4, -4.4, 1.6, 2.6), DARK),
        ),
        9.8, 8.5,
    )  # fmt: skip


COMPANION_DRAWINGS: dict[tuple[str, str], Drawing] = {
    ("flag", "striped"): _flag(((-8, -7, 8, -3), (206, 40, 48)), ((-8, 0, 8, 3), (206, 40, 48))),
    ("flag", "plain"): _flag(((-8, -7, 8, 7), (20, 150, 150))),
    ("flag", "tricolour"): _flag(((-8, -7, -2.6, 7), (36, 62, 160)), ((2.6, -7, 8, 7), (232, 120, 40))),
    ("flower", "red"): _flower((222, 44, 70), (250, 220, 90)),
    ("flower", "yellow"): _flower((250, 214, 40), (120, 70, 30)),
    ("dog", "brown"): _dog((150, 96, 50)),
    ("dog", "white"): _dog((240, 238, 232)),
    ("tree", "pine"): Drawing(
        (
            (box(-2, 6, 2, 12), WOOD),
            (polygon((0, -5), (8, 7), (-8, 7)), (24, 96, 62)),
            (polygon((0, -13), (6.5, -1), (-6.5, -1)), (24, 96, 62)),
        ),
        8.5, 14,
    ),
    ("tree", "round"): Drawing(
        (
            (box(-2, 1, 2, 12), WOOD),
            (union(circle(0, -5.5, 6.5), circle(-3.4, -1, 4), circle(3.4, -1, 4)), (104, 176, 60)),
        ),
        8, 13,
    ),
    ("person", ""): Drawing(
        (
            (union(box(-4, 3, -0.7, 12), box(0.7, 3, 4, 12)), (46, 56, 110)),
            (polygon((-6, -5), (6, -5), (4, 5), (-4, 5)), (40, 170, 170)),
            (circle(0, -8.5, 3.6), (236, 188, 150)),
        ),
        7, 13,
    ),
    ("cloud", ""): Drawing(
        ((union(circle(-4, 1, 3.6), circle(0.5, -1.2, 4.4), circle(4.8, 1.2, 3.2), box(-4, 1, 5, 4.5)), LIGHT),),
        9, 6.5,
    ),
    ("bird", ""): Drawing(
        (
            (polygon((5.6, -1.6), (9, 0), (5.6, 1.2)), (240, 160, 40)),
            (polygon((-8, -1.5), (-3, -0.5), (-4, 3)), (58, 66, 96)),
            (ellipse(0, 1, 5, 3), (58, 66, 96)),
            (circle(4.4, -1, 2.6), (58, 66, 96)),
            (polygon((-1.5, 0.5), (2.8, 0.5), (-3.5, -6)), (170, 180, 206)),
        ),
        9, 7,
    ),
    ("ball", ""): Drawing(
        ((circle(0, 0, 6), (240, 128, 60)), (intersection(circle(0, 0, 6), box(-1.8, -6, 1.8, 6)), LIGHT)),
        6.5, 6.5,
    ),
    ("kite", ""): Drawing(
        (
            (union(line(0, 5, 3, 9, 3), line(3, 9, 0, 12, 3)), DARK),
            (polygon((0, -10), (6, -3), (0, 7), (-6, -3)), (226, 72, 158)),
            (polygon((0, -10), (6, -3), (0, -3)), (250, 206, 226)),
        ),
        7, 13.8,
    ),
    ("house", ""): Drawing(
        (
            (box(-6, -1, 6, 8), (238, 220, 178)),
            (polygon((-8, -0.5), (0, -8.5), (8, -0.5)), (160, 58, 46)),
            (box(-1.7, 2.5, 1.7, 8), WOOD),
        ),
        8.5, 9,
    ),
}  # fmt: skip
"""Each at most about 18 pixels wide and 28 high at scale 1; colours are their own, never the subject's."""

FLYING_SUBJECTS = frozenset({"bee", "balloon"})
FLYING_COMPANIONS = frozenset({"flag", "cloud", "bird", "kite"})
