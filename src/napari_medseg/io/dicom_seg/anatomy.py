"""Codes for what a class is called: bones, organs and findings, as DICOM's segments name them.

Source: DICOM PS3.16, CID 7150 "Segmentation Property Categories", CID 7151 "Segmentation Property Types" and CID 244
"Laterality"; codes and meanings as in pydicom's tables of SNOMED CT.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Code = tuple[str, str]
"""SNOMED CT code and its meaning."""

STRUCTURE: Code = ("91723000", "Anatomical Structure")
ABNORMAL: Code = ("49755003", "Morphologically Abnormal Structure")
TISSUE: Code = ("85756007", "Tissue")
SIDES: dict[str, Code] = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}

# Name in small letters, singular -> code; the meaning is that of the standard.
STRUCTURES: dict[str, Code] = {
    "adrenal gland": ("23451007", "Adrenal gland"),
    "aorta": ("15825003", "Aorta"),
    "artery": ("51114001", "Artery"),
    "bladder": ("89837001", "Bladder"),
    "blood vessel": ("59820001", "Blood Vessel"),
    "bone": ("272673000", "Bone"),
    "bone marrow": ("14016003", "Bone Marrow"),
    "brain": ("12738006", "Brain"),
    "brain stem": ("119238007", "Brain Stem"),
    "breast": ("76752008", "Breast"),
    "calcaneus": ("80144004", "Calcaneus"),
    "cartilage": ("309312004", "Cartilage"),
    "cell": ("4421005", "Cell"),
    "cerebellum": ("113305005", "Cerebellum"),
    "cervical spine": ("122494005", "Cervical spine"),
    "clavicle": ("51299004", "Clavicle"),
    "coccyx": ("64688005", "Coccyx"),
    "colon": ("71854001", "Colon"),
    "distal femur": ("310652005", "Distal Femur"),
    "duodenum": ("38848004", "Duodenum"),
    "esophagus": ("32849002", "Esophagus"),
    "eye": ("81745001", "Eye"),
    "eyeball": ("79652003", "Eyeball"),
    "femoral head": ("2812003", "Head of Femur"),
    "femur": ("71341001", "Femur"),
    "fibula": ("87342007", "Fibula"),
    "gallbladder": ("28231008", "Gallbladder"),
    "gray matter": ("389081007", "Gray Matter"),
    "heart": ("80891009", "Heart"),
    "hippocampus": ("5366008", "Hippocampus"),
    "hip joint": ("24136001", "Hip joint"),
    "humerus": ("85050009", "Humerus"),
    "ilium": ("22356005", "Ilium"),
    "ischium": ("85710004", "Ischium"),
    "kidney": ("64033007", "Kidney"),
    "liver": ("10200004", "Liver"),
    "lumbar spine": ("122496007", "Lumbar spine"),
    "lung": ("39607008", "Lung"),
    "lung lobe": ("31094006", "Lobe of lung"),
    "lymph node": ("59441001", "Lymph Node"),
    "mandible": ("91609006", "Mandible"),
    "maxilla": ("70925003", "Maxilla"),
    "meniscus": ("74135004", "Meniscus"),
    "muscle": ("71616004", "Muscle"),
    "nucleus": ("84640000", "Nucleus"),
    "ovary": ("15497006", "Ovary"),
    "pancreas": ("15776009", "Pancreas"),
    "patella": ("64234005", "Patella"),
    "pelvis": ("816092008", "Pelvis"),
    "prostate": ("41216001", "Prostate"),
    "proximal femur": ("310651003", "Proximal Femur"),
    "radius": ("62413002", "Radius"),
    "rectum": ("34402009", "Rectum"),
    "rib": ("113197003", "Rib"),
    "sacrum": ("54735007", "Sacrum"),
    "scapula": ("79601000", "Scapula"),
    "skeletal muscle": ("127954009", "Skeletal muscle"),
    "skin": ("39937001", "Skin"),
    "skull": ("89546000", "Skull"),
    "small intestine": ("30315005", "Small intestine"),
    "spinal cord": ("2748008", "Spinal cord"),
    "spine": ("421060004", "Spine"),
    "spleen": ("78961009", "Spleen"),
    "sternum": ("56873002", "Sternum"),
    "stomach": ("69695003", "Stomach"),
    "talus": ("67453005", "Talus"),
    "testis": ("40689003", "Testis"),
    "thoracic spine": ("122495006", "Thoracic spine"),
    "thyroid": ("69748006", "Thyroid"),
    "tibia": ("12611008", "Tibia"),
    "tooth": ("38199008", "Tooth"),
    "trachea": ("44567001", "Trachea"),
    "ulna": ("23416004", "Ulna"),
    "uterus": ("35039007", "Uterus"),
    "vein": ("29092000", "Vein"),
    "vertebra": ("51282000", "Vertebra"),
    "white matter": ("389080008", "White Matter"),
}

FINDINGS: dict[str, Code] = {
    "carcinoma": ("1187425009", "Carcinoma"),
    "cyst": ("367643001", "Cyst"),
    "edema": ("79654002", "Edema"),
    "hemorrhage": ("50960005", "Hemorrhage"),
    "lesion": ("52988006", "Lesion"),
    "metastasis": ("128462008", "Metastasis"),
    "necrosis": ("6574001", "Necrosis"),
    "neoplasm": ("108369006", "Neoplasm"),
    "nodule": ("27925004", "Nodule"),
}

# Other words for the same, word by word.
_SAME = {
    "femora": "femur", "grey": "gray", "haemorrhage": "hemorrhage", "kneecap": "patella", "metastases": "metastasis",
    "nuclei": "nucleus", "oedema": "edema", "oesophagus": "esophagus", "teeth": "tooth", "thighbone": "femur",
    "tumor": "neoplasm", "tumour": "neoplasm", "tumors": "neoplasm", "tumours": "neoplasm", "urinary": "",
    "vertebrae": "vertebra",
}  # fmt: skip


@dataclass(frozen=True)
class Anatomy:
    """Category and type of what a class shows, and the patient's side it is on, where its name says one."""

    category: Code
    kind: Code
    side: Code | None = None


def name_anatomy(name: str) -> Anatomy:
    """Codes of a class by its English name: ``"left femur"``, ``"Femur_R"``, ``"lungs"``; else just tissue.

    Left and right are the patient's; ``"femur, image left"`` tells the side of the picture and is given none.
    """
    words = [w for w in re.findall(r"[^\W_]+", name.lower()) if not w.isdigit()]
    sides = {word: {"l": "left", "r": "right"}.get(word, word) for word in words}
    told = [side for side in sides.values() if side in SIDES]
    core = " ".join(w for w in (_one(w) for w in words if sides[w] not in SIDES and w != "image") if w)
    side = SIDES[told[0]] if len(told) == 1 and "image" not in words else None
    if core in STRUCTURES:
        return Anatomy(STRUCTURE, STRUCTURES[core], side)
    if core in FINDINGS:
        return Anatomy(ABNORMAL, FINDINGS[core], side)
    return Anatomy(TISSUE, TISSUE)


def _one(word: str) -> str:
    """The word as the tables have it: singular, American."""
    if word in _SAME:
        return _SAME[word]
    one = word.removesuffix("s")
    return one if any(one in entry.split() for entry in (*STRUCTURES, *FINDINGS)) else word
