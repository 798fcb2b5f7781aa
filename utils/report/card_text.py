"""What the model card says whatever the figures are: use, limits, sources, and the CLAIM items."""

from __future__ import annotations

USE = (
    "To assist a qualified reader who looks at a plain radiograph of a bone: a second look, an order in "
    "which to read, material for teaching and research on such systems.",
    "Its users are radiologists, emergency and orthopaedic physicians and radiographers who read "
    "radiographs anyway, and engineers and researchers who build or study such models.",
    "One picture of one view goes in; out come a probability, an answer at a stated threshold, whether the "
    "answer is doubtful, and a map of where the evidence lies. The reader looks at every radiograph, "
    "whatever the answer.",
)
OUT_OF_SCOPE = (
    "Deciding alone: ruling a fracture out, discharging, triage without a reader. It is no medical device "
    "and no regulator has cleared it.",
    "Anything but plain radiographs of the body parts named below: chest, skull, spine and abdomen, CT, MR, "
    "ultrasound, fluoroscopy, photographs of screens or films.",
    "Findings other than those that the labels mean: dislocations, tumours, infections, the age or the "
    "type of a fracture.",
    "Comparing pictures of one patient over time, joining several views into one finding, and measuring.",
    "Another hospital without a local evaluation first: `evaluate.py --data ROOT --part all` gives this "
    "report there, `--recalibrate` and `--local_threshold` a decision of its own.",
)
NOT_TESTED = (
    "Patients: no study of its effect on readers, on decisions or on outcomes has been made.",
    "Other hospitals, countries, manufacturers and detectors than those in the data below, unless this card "
    "says that its figures are of external data.",
    "Children apart from adults, ages, sexes and ethnic groups: the sources do not name them by image, so "
    "growth plates may pass for fractures and no figure can tell.",
    "Patients as units: where the source names none, two pictures of one patient may lie in different parts, "
    "and intervals are narrower than they would be over patients.",
    "Kinds of fracture: hairline, stress, avulsion and occult fractures are not told apart in the labels.",
    "The labels themselves: how far readers agreed is not known here, and a fracture that no label marks "
    "counts as a false alarm.",
    "All that it should refuse: beyond the folders that this card counts, skull, spine and abdomen, "
    "cut-outs of a chest, photographs of screens and films. That a picture is not doubted says nothing of "
    "what it shows.",
    "Change over time: new detectors and image processing shift the figures; nothing here watches for it.",
    "Attacks: pictures that were altered to deceive the network.",
)
# What is known of a source, by the name of its reader. Nothing is assumed of a folder of images.
SOURCES = {
    "fracatlas": (
        "Radiographs of hands, legs, hips and shoulders from three hospitals in Bangladesh, gathered after "
        "the fact and published without names. Two radiologists and an orthopaedist marked fractures with "
        "outlines and boxes, using makesense.ai. The source tells neither patient, age, sex nor machine "
        "of an image. Files that end early are all without a fracture, and nearly all pictures with hardware "
        "are fractured: both would be shortcuts, so truncated files train nothing and every figure also "
        "stands without hardware."
    ),
    "mura": (
        "Radiographs of the upper limb from Stanford Hospital, labelled by study at the time of reading as "
        "normal or abnormal. Abnormal is more than fractured: hardware, arthritis and other lesions count. "
        "Patients are named by number, and the split keeps them apart."
    ),
}
UNKNOWN_SOURCE = "A folder of images; its collectors alone know its patients, machines and readers."
WEIGHTS = {
    "imagenet": "ImageNet weights as keras.applications publishes them for this architecture, under the "
    "licence named there",
    "none": "random weights",
    "mobilenet_v2_1.0_224_imagenet.npz": "ImageNet weights of MobileNetV2 1.0/224, TF-Slim's release "
    "(Apache-2.0)",
}
IMAGENET = "ImageNet: Russakovsky et al., International Journal of Computer Vision 115:211 (2015)"
STRANGERS = (
    "What is no radiograph was learned from drawings and from crops of two photographs that come with "
    "scikit-learn, both CC BY 2.0: china.jpg by danielbuechele, flower.jpg by vultilion"
)

# Item of the checklist: number, what it asks for in few words, where it is answered.
CLAIM = (
    (1, "AI named in the title", "title"),
    (2, "structured summary", "In short"),
    (3, "background, intended use and role", "Intended use; README.md"),
    (4, "objectives and hypotheses", "Intended use; no hypothesis is tested"),
    (5, "prospective or retrospective", "Data, as far as the source tells: retrospective"),
    (6, "goal of the study", "creating a model, with an internal test"),
    (7, "data sources", "Data"),
    (8, "eligibility, where and when", "Data, as far as the source tells; dates are not known"),
    (9, "preprocessing", "docs/formats.md, docs/lifecycle.md"),
    (10, "subsets of the data", "Splits and leakage"),
    (11, "definitions of data elements", "What the labels mean; docs/datasets.md"),
    (12, "de-identification", "done by the source; no pictures are in the project"),
    (13, "missing data", "Splits and leakage: left out and counted"),
    (14, "definition of the ground truth", "What the labels mean"),
    (15, "why that reference standard", "it is the only one the source has"),
    (16, "who annotated", "Data, as far as the source tells"),
    (17, "annotation tools", "Data, as far as the source tells"),
    (18, "variability between readers", "What was not tested: not known"),
    (19, "intended sample size", "none was set; all usable images are taken"),
    (20, "how parts were assigned", "Splits and leakage; docs/datasets.md"),
    (21, "level at which parts are disjoint", "Splits and leakage"),
    (22, "description of the model", "How it was trained; docs/design.md; utils/model_builder.py"),
    (23, "software", "How it was trained; requirements.lock"),
    (24, "initial parameters", "How it was trained"),
    (25, "training, augmentation, hyperparameters", "How it was trained; docs/training.md"),
    (26, "how the final model was chosen", "How it was trained"),
    (27, "ensembling", "none: one network, one forward pass"),
    (28, "metrics", "Figures"),
    (29, "uncertainty", "Figures: bootstrap over groups"),
    (30, "robustness", "Figures by region, view, hardware and size, without truncated files"),
    (31, "explainability, and how it was validated", "Where the map points"),
    (32, "external data", "In short says whether these data are; What was not tested"),
    (33, "flow of the data", "Splits and leakage: a table instead of a diagram"),
    (34, "demographics of each part", "not known: the source names none"),
    (35, "performance on every part", "Figures; not measured on the train part"),
    (36, "accuracy with its precision", "Figures"),
    (37, "failure analysis", "Failures"),
    (38, "limitations", "Out of scope; What was not tested"),
    (39, "implications for practice", "Intended use; Out of scope"),
    (40, "registration", "not registered"),
    (41, "access to the protocol", "the repository: code, commands, splits and this card"),
    (42, "funding", "none is stated"),
)
CLAIM_SOURCE = (
    "Mongan, Moy and Kahn, Checklist for Artificial Intelligence in Medical Imaging (CLAIM), Radiology: "
    "Artificial Intelligence 2020, 2(2):e200029. The items are named here in few words."
)
