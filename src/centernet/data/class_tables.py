"""The classes of the published models' data sets, for files that do not name them: COCO 2017 and Pascal VOC."""

from __future__ import annotations

from collections.abc import Mapping

from centernet.structures import ClassTable

_COCO = (
    "person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, parking meter, bench, "
    "bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag, tie, suitcase, frisbee, skis, "
    "snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket, bottle, wine glass, cup, fork, "
    "knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, "
    "dining table, toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, "
    "vase, scissors, teddy bear, hair drier, toothbrush"
)
_COCO_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # category ids between 1 and 90 that COCO 2017 does not use
_VOC = (
    "aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow, diningtable, dog, horse, motorbike, person, pottedplant, sheep, "
    "sofa, train, tvmonitor"
)

COCO = ClassTable(tuple(_COCO.split(", ")), tuple(i for i in range(1, 91) if i not in _COCO_GAPS))
VOC = ClassTable(tuple(_VOC.split(", ")), tuple(range(1, 21)))

# Name of the data set plug-in → what its published models were trained on.
PUBLISHED: Mapping[str, ClassTable] = {"coco": COCO, "voc": VOC}
