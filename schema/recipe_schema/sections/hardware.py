"""Where the run takes place, and on how many devices."""

from typing import Annotated, Literal

from recipe_schema.marks import Ge, Le, key
from recipe_schema.section import section
from recipe_schema.sections.forms import Count


@section
class Hardware:
    """Where the run takes place."""

    device: Literal["auto", "cpu", "cuda"] = key(
        "auto",
        "`auto` takes a CUDA device where there is one, else the processor.",
        impact="runtime",
        reads=("encode-text", "encode-video", "train", "validate"),
    )
    tf32: bool = key(
        False,
        "Multiply fp32 matrices in TF32 on CUDA while the transformer works: faster, with 10 bits of mantissa.",
        reads=("train", "validate"),
    )
    torch_num_threads: Annotated[int, Ge(1), Le(4096)] | None = key(
        None,
        "Processor threads of torch; null leaves it to torch. Another number may change the last bits on a processor.",
        impact="runtime",
        reads=("encode-text", "encode-video", "train", "validate"),
        aka="torch_num_threads",
    )
    compile: Literal["no", "default", "reduce-overhead", "max-autotune"] = key(
        "no",
        "Let torch compile the transformer's blocks for training, each bucket by itself, and how hard it should try. "
        "`reduce-overhead` records CUDA graphs, `max-autotune` tries out kernels as well.",
        reads=("train",),
        aka="dynamo_mode",
    )


@section
class Launch:
    """On how many devices a run takes place."""

    processes: Count = key(
        1,
        "Processes on this machine, each with a device of its own. Each takes batch_size × gradient_accumulation_steps "
        "of a step's samples, so that more processes make a step larger.",
        reads=("train",),
        aka="num_processes",
    )
    machines: Count = key(
        1,
        "Machines, each with as many processes. On each one runs the same command, with its number and an address of the "
        "first: `recipe run RECIPE --machine 1 --meeting HOST:PORT`.",
        reads=("train",),
        aka="num_machines",
    )
    strategy: Literal["ddp", "fsdp2"] = key(
        "ddp",
        "What several processes share: `ddp` gradients alone, `fsdp2` weights, optimizer state and the average too, of which "
        "each process then holds a slice.",
        impact="runtime",
        reads=("train",),
    )


def processes_of(launch: Launch) -> int:
    """Return how many processes train together, on all machines."""
    return launch.processes * launch.machines
