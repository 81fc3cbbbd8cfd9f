"""What a run writes: checkpoints, reports to others, uploads."""

from typing import Annotated, Literal

from recipe_schema.marks import ONE_OR_MANY, Derived, Ge, Level, Pattern, key
from recipe_schema.section import section
from recipe_schema.sections.forms import Count, Steps, Text, Variable


@section
class Checkpoints:
    """Saved states to resume from. Running the same command again resumes."""

    step_interval: Steps = key(
        500,
        "Save every so many steps, besides at the end.",
        unit="steps",
        impact="runtime",
        reads=("train",),
        aka="checkpoint_step_interval",
    )
    epoch_interval: Count | None = key(
        None,
        "Save every so many epochs, too.",
        unit="epochs",
        impact="runtime",
        reads=("train",),
        aka="checkpoint_epoch_interval",
    )
    total_limit: Steps | None = key(
        5,
        "Keep the newest so many; null keeps all.",
        unit="checkpoints",
        impact="runtime",
        reads=("train",),
        aka="checkpoints_total_limit",
    )
    rolling_steps: Steps | None = key(
        None,
        "Save every so many steps besides, and keep the newest rolling_total_limit of these.",
        unit="steps",
        impact="runtime",
        reads=("train",),
        aka="checkpointing_rolling_steps",
    )
    rolling_total_limit: Count = key(
        1,
        "See rolling_steps.",
        unit="checkpoints",
        impact="runtime",
        reads=("train",),
        aka="checkpoints_rolling_total_limit",
    )
    resume: Annotated[str, Pattern(r"^(latest|[0-9]{1,10}|.*[/.].*)$", "latest, a step, or a path")] = key(
        "latest",
        "The checkpoint to go on from: the latest of the run, one of its steps, to which the run goes back once, or the path "
        "of another run or of one of its checkpoints, with which this run begins at that step.",
        impact="runtime",
        reads=("train",),
        aka="resume_from_checkpoint",
    )
    background: bool = key(
        False,
        "Write checkpoints while training goes on. It takes main memory for a copy of the checkpoint.",
        impact="runtime",
        reads=("train",),
    )
    layout: Literal["whole", "sharded"] = key(
        "whole",
        "How checkpoints lie on the disk with launch.strategy fsdp2: whole tensors, which the first process puts together and "
        "writes, or slices, of which each process writes its own. Either is resumed by any number of processes.",
        impact="runtime",
        reads=("train",),
    )
    accept_changes: tuple[Text, ...] = key(
        (),
        "Settings that shape the weights and may nevertheless differ from those of the checkpoints in output_dir, each by "
        "its name or its section's, as in train.max_steps; `data` stands for the clips and captions too.",
        impact="runtime",
        reads=("train",),
    )


@section
class Webhook:
    """Somebody who is told what happens in a run."""

    type: Literal["discord", "slack", "raw"] = key(
        "raw",
        "The form of messages: that of Discord or Slack, or the event itself as JSON.",
        impact="runtime",
        reads=("report",),
    )
    url_env: Variable | None = key(
        None,
        "The variable of the environment that holds the address. For Discord and Slack the address is a secret.",
        impact="runtime",
        reads=("report",),
    )
    url: Annotated[str, Pattern(r"^https?://\S+$", "an address, as in http://127.0.0.1:8080/hook")] | None = key(
        None, "The address itself, where it is no secret.", impact="runtime", reads=("report",)
    )
    level: Level = key("info", "Tell what is at least this important.", impact="runtime", reads=("report",))
    prefix: str = key("", "Text before each message.", impact="cosmetic", reads=("report",))
    token_env: Variable | None = key(
        None,
        "The variable of the environment that holds a token, sent as the header X-API-Key.",
        impact="runtime",
        reads=("report",),
    )
    ssl_verify: bool = key(True, "Check the certificate.", impact="runtime", reads=("report",))


@section
class Tracking:
    """Who follows the run. Everything is in the run directory's events.jsonl in any case."""

    report_to: Annotated[tuple[Literal["tensorboard", "wandb"], ...], ONE_OR_MANY] | None = key(
        None,
        "Trackers that get curves and clips.",
        impact="runtime",
        reads=("report",),
        aka="report_to",
        refused={
            "none": "write null, or leave it out",
            "all": "name them: tensorboard, wandb",
            "simpletuner": "`events.jsonl` in the run directory holds everything",
            "swanlab": "there are tensorboard and wandb",
            "comet_ml": "there are tensorboard and wandb",
            "custom-tracker": "follow `events.jsonl` in the run directory",
        },
    )
    project_name: Text = key(
        "sana-video", "Name of the project there.", impact="cosmetic", reads=("report",), aka="tracker_project_name"
    )
    run_name: Text = key(
        Derived("the same as name"),
        "Name of the run there.",
        impact="cosmetic",
        reads=("report",),
        aka="tracker_run_name",
    )
    wandb_mode: Literal["online", "offline"] = key(
        "online",
        "Whether wandb uploads while the run goes on, or writes a folder for `wandb sync`.",
        impact="runtime",
        reads=("report",),
    )
    webhooks: tuple[Webhook, ...] = key(
        (), "Addresses that are told what happens.", impact="runtime", reads=("report",)
    )
    webhook_interval: Annotated[float, Ge(30)] | None = key(
        None,
        "Tell webhooks where training stands every so many seconds.",
        unit="seconds",
        impact="runtime",
        reads=("report",),
        aka="webhook_reporting_interval",
    )


@section
class Hub:
    """The Hugging Face hub, where the result may go."""

    push: bool = key(
        False,
        "Upload the export when training is done.",
        impact="runtime",
        reads=("push",),
        aka="push_to_hub",
    )
    push_checkpoints: bool = key(
        False,
        "Upload checkpoints on the way, in the background. Where they come faster than they go, the newest.",
        impact="runtime",
        reads=("push",),
        aka="push_checkpoints_to_hub",
    )
    model_id: Annotated[str, Pattern(r"^([^/\s]+/)?[^/\s]+$", "OWNER/NAME, or NAME for your own")] | None = key(
        None, "The repository, made if it is not there.", impact="runtime", reads=("push",), aka="hub_model_id"
    )
    private: bool = key(True, "Make it a private one.", impact="runtime", reads=("push",), aka="model_card_private")
    token_env: Variable = key(
        "HF_TOKEN",
        "The variable of the environment that holds the token; without it, that of `hf auth login` is used.",
        impact="runtime",
        reads=("push",),
    )
