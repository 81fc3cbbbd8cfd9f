"""The recipe language: all its sections, in the order in which people read them.

Each key is written down once, with type, range, default, unit and description, in `recipe_schema.sections`. The JSON
Schema, the reference page, ``recipe explain`` and the plan's settings are all derived from that. `Settings` is also the
type that the runtime reads back from a plan: there each field holds its resolved value, and ``None`` means "none, on
purpose".
"""

from recipe_schema.marks import Derived, key
from recipe_schema.section import section
from recipe_schema.sections.alarms import Alarms
from recipe_schema.sections.data import Data
from recipe_schema.sections.evaluation import Evaluation, Validation
from recipe_schema.sections.forms import Name, PathText
from recipe_schema.sections.hardware import Hardware, Launch
from recipe_schema.sections.memory import Memory
from recipe_schema.sections.model import Model
from recipe_schema.sections.optimizer import Ema, LrSchedule, Optimizer
from recipe_schema.sections.output import Checkpoints, Hub, Tracking
from recipe_schema.sections.regularizers import Regularizers
from recipe_schema.sections.train import Train


LANGUAGE_VERSION = 1
"""The version that a recipe states in its key ``recipe``."""


@section
class Settings:
    """All settings of one recipe: the sections in the order in which people read them."""

    name: Name = key(
        Derived("the recipe's file name, with the variant's id if there is a matrix"),
        "Name of the recipe.",
        impact="cosmetic",
        reads=("train",),
    )
    description: str = key("", "What it is for, in a sentence.", impact="cosmetic", reads=("train",))
    output_dir: PathText = key(
        Derived("runs/{name}, beside the recipe, with the variant's id if there is a matrix"),
        "The run directory. A relative path starts at the recipe.",
        impact="runtime",
        reads=("train",),
        aka="output_dir",
    )
    model: Model
    data: Data
    train: Train
    optimizer: Optimizer
    lr_schedule: LrSchedule
    ema: Ema
    memory: Memory
    regularizers: Regularizers
    evaluation: Evaluation
    validation: Validation
    checkpoints: Checkpoints
    alarms: Alarms
    tracking: Tracking
    hub: Hub
    hardware: Hardware
    launch: Launch
