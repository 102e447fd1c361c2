"""Classes are matched by name however it is spelled, by number where that can mean one thing, or refused."""

import logging

import numpy as np
import pytest
from timm.data import ImageNetInfo

from synthset.core.errors import UsageError
from synthset.images.imageset import ImageSet
from synthset.real import class_names_of, known_sets
from synthset.real.matching import match_names, with_classes
from synthset.real.names import imagenet_ids, read_names

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def index(expected, classes):
    return match_names(expected, classes, "there").index.tolist()


def images_of(names, labels):
    return ImageSet("there", tuple(names), np.array(labels, np.int64), lambda i: bytes([labels[i]]))


def test_names_differ_in_order_case_signs_and_accents():
    assert index(("a", "b", "c"), ("c", "a", "b")) == [2, 0, 1]
    assert index(("sea_lake", "polar bear"), ("PolarBear", "Sea Lake")) == [1, 0]
    assert index(("Speed limit (20km/h)", "Stop"), ("Stop", "Speed limit (20km_h)")) == [1, 0]
    assert index(("caf\u00e9", "th\u00e9"), ("the\u0301", "cafe\u0301")) == [1, 0]
    assert index(("cat", "dog"), ("\ufeffdog", "c\u200bat")) == [1, 0]
    assert index(("na\u00efve", "naive"), ("naive", "nai\u0308ve")) == [1, 0]  # with its dots it is another name
    assert index(("C", "C++", "C#"), ("C#", "C", "C++")) == [2, 0, 1]


def test_names_that_differ_in_case_alone_match_exactly_or_not_at_all():
    assert index(("us", "US"), ("US", "us")) == [1, 0]
    assert index(("us", "Us"), ("US", "us")) == [-1, 0]


def test_names_that_repeat_go_by_position_or_are_refused():
    assert index(("cat", "dog", "cat"), ("cat", "dog", "cat")) == [0, 1, 2]
    for expected, classes in ((("cat", "dog"), ("cat", "dog", "cat")), (("cat", "dog", "cat"), ("dog", "cat"))):
        with pytest.raises(UsageError, match="got 'cat' twice in"):
            index(expected, classes)


def test_numbers_in_front_are_left_out_where_all_names_have_them():
    assert index(("laysan albatross", "cat"), ("001.Cat", "002.Laysan_Albatross")) == [1, 0]
    assert index(DIGITS, [f"{i} - {name}" for i, name in enumerate(DIGITS)]) == list(range(10))
    assert index(("707-320", "727-200"), ("727-200", "707-320")) == [1, 0]
    with pytest.raises(UsageError, match="missing: 707-200; extra: 737-200"):
        with_classes(images_of(["727-200", "737-200"], [0, 1]), ("707-200", "727-200"), strict=True)


@pytest.mark.parametrize(
    ("expected", "numbers", "places"),
    [
        (sorted(DIGITS), [str(i) for i in range(10)], [sorted(DIGITS).index(name) for name in DIGITS]),
        (DIGITS[:3], ["2", "0", "1"], [2, 0, 1]),
        ([str(i) for i in range(12)], sorted(str(i) for i in range(12)), [0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9]),
        ([str(i) for i in range(12)], [f"{i:03d}" for i in range(12)], list(range(12))),
        (class_names_of("cifar10"), [str(i) for i in range(10)], list(range(10))),
        (class_names_of("flowers"), sorted(str(i + 1) for i in range(102)), None),
        (sorted(class_names_of("pets")), [f"{i:02d}" for i in range(37)], None),
    ],
)
def test_numbers_are_values(expected, numbers, places, caplog):
    first = 1 if "102" in numbers else 0
    if places is None:
        known = class_names_of("flowers" if first else "pets")
        places = [list(expected).index(known[int(number) - first]) for number in numbers]
    match = match_names(expected, numbers, "there")
    assert match.index.tolist() == places
    assert not first or list(match.ways) == ["by number, from 1, in the order of 'flowers'"]


@pytest.mark.parametrize(
    ("expected", "numbers"),
    [
        (("cat", "dog"), ("0", "1")),
        ([f"class {i}" for i in range(12)], [str(i) for i in range(12)]),
        ([str(i) for i in range(1, 13)], [str(i) for i in range(12)]),
        (class_names_of("flowers"), ("5", "7")),
        (("dog", "cat"), ("0", "2")),
    ],
)
def test_numbers_that_could_mean_several_classes_are_refused_with_both_lists(expected, numbers):
    with pytest.raises(UsageError, match=rf"classes {expected[0]}, .* got the numbers {numbers[0]}, {numbers[1]}"):
        match_names(expected, numbers, "there")


# the folders as their authors publish them, in their order
FOLDERS = {
    "caltech256": """
ak47 american-flag backpack baseball-bat baseball-glove basketball-hoop bat bathtub bear beer-mug billiards
binoculars birdbath blimp bonsai-101 boom-box bowling-ball bowling-pin boxing-glove brain-101 breadmaker
buddha-101 bulldozer butterfly cactus cake calculator camel cannon canoe car-tire cartman cd centipede
cereal-box chandelier-101 chess-board chimp chopsticks cockroach coffee-mug coffin coin comet computer-keyboard
computer-monitor computer-mouse conch cormorant covered-wagon cowboy-hat crab-101 desk-globe diamond-ring dice
dog dolphin-101 doorknob drinking-straw duck dumb-bell eiffel-tower electric-guitar-101 elephant-101 elk
ewer-101 eyeglasses fern fighter-jet fire-extinguisher fire-hydrant fire-truck fireworks flashlight floppy-disk
football-helmet french-horn fried-egg frisbee frog frying-pan galaxy gas-pump giraffe goat golden-gate-bridge
goldfish golf-ball goose gorilla grand-piano-101 grapes grasshopper guitar-pick hamburger hammock harmonica harp
harpsichord hawksbill-101 head-phones helicopter-101 hibiscus homer-simpson horse horseshoe-crab hot-air-balloon
hot-dog hot-tub hourglass house-fly human-skeleton hummingbird ibis-101 ice-cream-cone iguana ipod iris
jesus-christ joy-stick kangaroo-101 kayak ketch-101 killer-whale knife ladder laptop-101 lathe leopards-101
license-plate lightbulb light-house lightning llama-101 mailbox mandolin mars mattress megaphone menorah-101
microscope microwave minaret minotaur motorbikes-101 mountain-bike mushroom mussels necktie octopus ostrich owl
palm-pilot palm-tree paperclip paper-shredder pci-card penguin people pez-dispenser photocopier picnic-table
playing-card porcupine pram praying-mantis pyramid raccoon radio-telescope rainbow refrigerator revolver-101
rifle rotary-phone roulette-wheel saddle saturn school-bus scorpion-101 screwdriver segway
self-propelled-lawn-mower sextant sheet-music skateboard skunk skyscraper smokestack snail snake sneaker
snowmobile soccer-ball socks soda-can spaghetti speed-boat spider spoon stained-glass starfish-101
steering-wheel stirrups sunflower-101 superman sushi swan swiss-army-knife sword syringe tambourine teapot
teddy-bear teepee telephone-box tennis-ball tennis-court tennis-racket theodolite toaster tomato tombstone
top-hat touring-bike tower-pisa traffic-light treadmill triceratops tricycle trilobite-101 tripod t-shirt
tuning-fork tweezer umbrella-101 unicorn vcr video-projector washing-machine watch-101 waterfall watermelon
welding-mask wheelbarrow windmill wine-bottle xylophone yarmulke yo-yo zebra airplanes-101 car-side-101
faces-easy-101 greyhound tennis-shoes toad
""",
    "caltech101": """
BACKGROUND_Google Faces Faces_easy Leopards Motorbikes accordion airplanes anchor ant barrel bass beaver
binocular bonsai brain brontosaurus buddha butterfly camera cannon car_side ceiling_fan cellphone chair
chandelier cougar_body cougar_face crab crayfish crocodile crocodile_head cup dalmatian dollar_bill dolphin
dragonfly electric_guitar elephant emu euphonium ewer ferry flamingo flamingo_head garfield gerenuk gramophone
grand_piano hawksbill headphone hedgehog helicopter ibis inline_skate joshua_tree kangaroo ketch lamp laptop
llama lobster lotus mandolin mayfly menorah metronome minaret nautilus octopus okapi pagoda panda pigeon pizza
platypus pyramid revolver rhino rooster saxophone schooner scissors scorpion sea_horse snoopy soccer_ball
stapler starfish stegosaurus stop_sign strawberry sunflower tick trilobite umbrella watch water_lilly wheelchair
wild_cat windsor_chair wrench yin_yang
""",
    "dtd": """
banded blotchy braided bubbly bumpy chequered cobwebbed cracked crosshatched crystalline dotted fibrous flecked
freckled frilly gauzy grid grooved honeycombed interlaced knitted lacelike lined marbled matted meshed paisley
perforated pitted pleated polka-dotted porous potholed scaly smeared spiralled sprinkled stained stratified
striped studded swirly veined waffled woven wrinkled zigzagged
""",
    "pets": """
Abyssinian american_bulldog american_pit_bull_terrier basset_hound beagle Bengal Birman Bombay boxer
British_Shorthair chihuahua Egyptian_Mau english_cocker_spaniel english_setter german_shorthaired great_pyrenees
havanese japanese_chin keeshond leonberger Maine_Coon miniature_pinscher newfoundland Persian pomeranian pug
Ragdoll Russian_Blue saint_bernard samoyed scottish_terrier shiba_inu Siamese Sphynx staffordshire_bull_terrier
wheaten_terrier yorkshire_terrier
""",
    "food": """
apple_pie baby_back_ribs baklava beef_carpaccio beef_tartare beet_salad beignets bibimbap bread_pudding
breakfast_burrito bruschetta caesar_salad cannoli caprese_salad carrot_cake ceviche cheesecake cheese_plate
chicken_curry chicken_quesadilla chicken_wings chocolate_cake chocolate_mousse churros clam_chowder
club_sandwich crab_cakes creme_brulee croque_madame cup_cakes deviled_eggs donuts dumplings edamame
eggs_benedict escargots falafel filet_mignon fish_and_chips foie_gras french_fries french_onion_soup
french_toast fried_calamari fried_rice frozen_yogurt garlic_bread gnocchi greek_salad grilled_cheese_sandwich
grilled_salmon guacamole gyoza hamburger hot_and_sour_soup hot_dog huevos_rancheros hummus ice_cream lasagna
lobster_bisque lobster_roll_sandwich macaroni_and_cheese macarons miso_soup mussels nachos omelette onion_rings
oysters pad_thai paella pancakes panna_cotta peking_duck pho pizza pork_chop poutine prime_rib
pulled_pork_sandwich ramen ravioli red_velvet_cake risotto samosa sashimi scallops seaweed_salad
shrimp_and_grits spaghetti_bolognese spaghetti_carbonara spring_rolls steak strawberry_shortcake sushi tacos
takoyaki tiramisu tuna_tartare waffles
""",
}
TEXTS = ImageNetInfo("imagenet-1k").label_descriptions()
PUBLISHED = {
    "digits": [str(i) for i in range(10)],
    "eurosat": ["AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture", "PermanentCrop",
                "Residential", "River", "SeaLake"],
    "cifar10": ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    "cifar100": [name.replace(" ", "_") for name in class_names_of("cifar100")],
    "mnist": [f"{i} - {name}" for i, name in enumerate(DIGITS)],
    "imagenet": [text if TEXTS.count(text) == 1 else imagenet_ids()[i] for i, text in enumerate(TEXTS)],
    "imagenet-sketch": list(imagenet_ids()),
    "imagenet-r": list(read_names("imagenet-r")),
    "cub": [f"{i + 1:03d}.{name.replace(' ', '_')}" for i, name in enumerate(class_names_of("cub"))],
    "sun397": [f"/{name[0]}/{name.replace(' ', '_')}" for name in class_names_of("sun397")],
    "aircraft": [name.replace("F-16AB", "F-16A/B").replace("FA-18", "F/A-18") for name in class_names_of("aircraft")],
    "cars": [name.replace("Ram CV", "Ram C/V") for name in class_names_of("cars")],
    "flowers": [str(i + 1) for i in range(102)],
    "caltech101": FOLDERS["caltech101"].split(),
    "caltech256": [f"{i + 1:03d}.{name}" for i, name in enumerate(FOLDERS["caltech256"].split())],
    "dtd": FOLDERS["dtd"].split(),
    "pets": FOLDERS["pets"].split(),
    "food": FOLDERS["food"].split(),
    "birdsnap": [name.replace(" ", "_") for name in class_names_of("birdsnap")],
}  # fmt: skip
_CALTECH101_ORDER = {
    "airplanes": "airplane", "BACKGROUND_Google": "background", "car_side": "side of a car",
    "cougar_body": "body of a cougar cat", "cougar_face": "face of a cougar cat",
    "crocodile_head": "head of a crocodile", "Faces": "off-center face", "Faces_easy": "centered face",
    "flamingo_head": "head of a flamingo", "Leopards": "leopard", "Motorbikes": "motorbike",
    "snoopy": "snoopy (cartoon beagle)", "water_lilly": "water lily", "yin_yang": "yin and yang symbol",
}  # fmt: skip


def place_of(name, published, label):
    """Where a published name stands in our list, which follows another order for Caltech 101 alone."""
    if name == "caltech101":
        return class_names_of(name).index(_CALTECH101_ORDER.get(published, published.replace("_", " ")))
    return label


@pytest.mark.parametrize("name", known_sets())
def test_every_known_set_is_matched_as_its_authors_publish_it(name):
    ours, theirs = class_names_of(name), PUBLISHED[name]
    assert len(theirs) == len(ours)
    order = np.random.default_rng(0).permutation(len(ours)).tolist()
    assert index(ours, [theirs[i] for i in order]) == [place_of(name, theirs[i], i) for i in order]


def test_a_part_of_a_known_set_is_matched_too():
    assert index(("sea or lake", "river"), ("River", "SeaLake", "Industrial")) == [1, 0, -1]
    assert index(("goldfish", "tench"), ("n01440764", "n01443537")) == [1, 0]


def test_images_of_further_classes_are_left_out_and_missing_classes_are_said(caplog):
    images = images_of(["dog", "emu", "cat", "gnu"], [0, 1, 2, 1])  # no image of a gnu: nothing is left out of it
    with caplog.at_level(logging.WARNING):
        kept = with_classes(images, ("cat", "dog", "fox"))
    assert kept.labels.tolist() == [1, 0]
    assert kept.class_names == ("cat", "dog", "fox")
    assert [kept.read(i) for i in range(2)] == [b"\0", b"\2"]
    assert caplog.messages == ["'there' has no images of fox", "'there': left out 2 images of further classes: emu"]
    with pytest.raises(UsageError, match=r"the 3 classes cat, dog, fox in 'there', .* \(missing: fox; extra: emu\)"):
        with_classes(images, ("cat", "dog", "fox"), strict=True)
    with pytest.raises(UsageError, match="missing: a, b; extra: dog, emu, cat"):
        with_classes(images, ("a", "b"))
