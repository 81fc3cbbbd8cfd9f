"""The clips: where they are, which are used, how they are cut, sized and captioned."""

from collections.abc import Mapping
from typing import Annotated, Literal

from recipe_schema.marks import ONE_OR_MANY, REQUIRED, Derived, Family, Ge, Gt, Le, Pattern, key
from recipe_schema.section import section
from recipe_schema.sections.forms import (
    MOST_AT_ONCE,
    MOST_FRAMES,
    Column,
    Count,
    Label,
    Name,
    PathText,
    Seed,
    Share,
    Size,
    Steps,
    StepsOrNone,
    Text,
    Weight,
)


_BY_CONTENT = "latents and texts are stored by content in `data.store_dir`: nothing there can be stale, or mixed up"
_LOOKED_AT = "every clip is looked at by `recipe` itself, and what was found is remembered"

AspectRatio = Annotated[float, Gt(0), Le(100)]
"""Width divided by height."""

Edge = Annotated[float, Gt(0), Le(20000)]
"""A size by resolution_type: pixels of an edge, or megapixels."""


@section
class Video:
    """Which part of each clip is used."""

    num_frames: Annotated[int, Ge(1), Le(MOST_FRAMES)] = key(
        Family("num_frames"),
        "Frames of a training sample, counted at data.framerate. The VAE needs 4k+1.",
        unit="frames",
        reads=("survey", "encode-video", "train"),
        aka="num_frames",
    )
    min_frames: Annotated[int, Ge(1), Le(MOST_FRAMES)] = key(
        Derived("the same as num_frames"),
        "Clips that are shorter, at data.framerate, are left out. Below num_frames, a shorter clip joins a "
        "bucket of its own length.",
        unit="frames",
        reads=("survey",),
        aka="min_frames",
    )
    max_frames: Annotated[int, Ge(1), Le(MOST_FRAMES)] | None = key(
        None,
        "Clips that are longer, at data.framerate, are left out. With null, long clips are cut.",
        unit="frames",
        reads=("survey",),
        aka="max_frames",
    )
    frame_interval: Annotated[int, Ge(1), Le(MOST_FRAMES)] | None = key(
        None,
        "With bucket_strategy resolution_frames, lengths of clips that are shorter than num_frames are rounded down to a "
        "multiple of this first, and then to 4k+1. Shorter ones than this are only rounded to 4k+1.",
        unit="frames",
        reads=("survey",),
        aka="frame_interval",
    )
    bucket_strategy: Literal["aspect_ratio", "resolution_frames"] = key(
        "aspect_ratio",
        "How clips are grouped: `aspect_ratio` by shape and legal length, `resolution_frames` by shape and a length "
        "that frame_interval rounds. Buckets are named WxH@F in both.",
        reads=("survey",),
        aka="bucket_strategy",
    )
    window: Literal["head", "middle", "uniform", "random"] = key(
        "head",
        "Which frames of a long clip are taken: `head` the first; `middle` those in the middle; `uniform` the middle of "
        "each of as many equal parts as have room for a window, each a sample of its own; `random` another window in each "
        "epoch, out of max_windows that are encoded.",
        reads=("survey", "encode-video"),
        refused={
            "single_beginning": "it is spelt `head`",
            "single_middle": "it is spelt `middle`",
            "multiple_overlapping": "windows that don't overlap are `uniform`",
            "chunk": "it is spelt `uniform`, which spreads the windows over the clip",
            "slide": "windows that don't overlap are `uniform`",
        },
    )
    max_windows: Count | None = key(
        Derived("4 with window random, else null"),
        "With window uniform, at most so many windows of a clip; null takes all that have room. With window random, so many "
        "windows of each clip are chosen and encoded, of which each sample has one.",
        unit="windows",
        reads=("survey",),
    )
    fps: Literal["resample", "ignore"] = key(
        "resample",
        "`resample` takes frames by their timestamps at data.framerate; `ignore` takes them as they follow each other, "
        "which is what SimpleTuner does, and changes the speed of other clips.",
        reads=("survey", "encode-video"),
    )
    is_i2v: bool = key(
        False,
        "Train image to video on this data set: the first frame is given, the rest is learnt.",
        reads=("train", "validate"),
        aka="is_i2v",
    )
    i2v_probability: Share = key(
        0.9,
        "With is_i2v: the share of samples whose first frame is given. The others are trained from text alone, so that the "
        "model keeps both. The authors' SANA-WM takes 0.9. Clips that are measured always have it given.",
        reads=("train",),
    )
    i2v_noise: Share = key(
        0.0,
        "With is_i2v: noise on the first frame, as a share of a noise level that is drawn for it. 0 leaves it clean, as it is "
        "when clips are drawn.",
        reads=("train",),
    )


@section
class CaptionShuffle:
    """Captions of tags in other orders, each as a caption of its own: one is drawn for each sample."""

    enable: bool = key(False, "Shuffle the parts of captions.", reads=("survey",))
    count: Count = key(
        1,
        "Other orders of each caption, no two alike: fewer if a caption has not so many. They are the same each time.",
        reads=("survey",),
    )
    seed: Seed = key(0, "Seed of the orders.", reads=("survey",))
    split_on: Literal["comma", "space", "period"] = key("comma", "What parts are separated by.", reads=("survey",))
    position_start: Annotated[int, Ge(0), Le(1000)] = key(
        0, "The first so many parts keep their place.", reads=("survey",)
    )
    include_original: bool = key(
        True, "Keep the caption as it is, besides. One that has no other order is kept anyway.", reads=("survey",)
    )


@section
class Parquet:
    """A table of captions, for caption_strategy: parquet."""

    path: PathText | None = key(
        None,
        "The table. Its ending says what it is: .parquet, .csv, .tsv, .jsonl or .ndjson. A relative path starts at the "
        "recipe.",
        impact="runtime",
        reads=("survey",),
    )
    filename_column: Column = key(
        "filename",
        "The column of file names: paths below instance_data_dir, paths from the table's folder, or bare names.",
        reads=("survey",),
    )
    caption_column: Annotated[tuple[Column, ...], ONE_OR_MANY] = key(
        ("caption",),
        "The column of captions, or several, each of captions of its own. Fields may hold lists. See multiline.",
        reads=("survey",),
    )
    caption_weight_column: Column | None = key(
        None,
        "With multiline: split, the column of weights: how often a row is drawn, of several for one clip. A list holds one "
        "for each caption of its row.",
        reads=("survey",),
    )
    fallback_caption_column: Column | None = key(
        None, "The column that is used where all captions are empty.", reads=("survey",)
    )
    width_column: Column | None = key(
        None, "Sizes are read from the clips themselves.", ignored="sizes are read from the clips themselves"
    )
    height_column: Column | None = key(
        None, "Sizes are read from the clips themselves.", ignored="sizes are read from the clips themselves"
    )
    identifier_includes_extension: bool = key(
        True, "Whether the file names of the table have their endings.", reads=("survey",)
    )


@section
class HuggingFace:
    """Columns of a data set of the Hugging Face hub, for type: huggingface."""

    video_column: Column = key("video", "The column of clips.", reads=("survey",))
    image_column: Column = key("image", "The column of images, for dataset_type: image.", reads=("survey",))
    caption_column: Annotated[tuple[Column, ...], ONE_OR_MANY] = key(
        ("caption",), "The column of captions, or several that are all used.", reads=("survey",)
    )
    fallback_caption_column: Column | None = key(
        None, "The column that is used where the caption is empty.", reads=("survey",)
    )


@section
class Motion:
    """The motion score of each clip: what ` motion score: N.` at the end of its captions says."""

    source: Literal["constant", "column", "file", "flow"] = key(
        "constant",
        "Where scores are: `constant` is data.motion_score for all, `column` a column of the data set's table of captions, "
        "`file` a table of their own, `flow` measures how much moves, which needs OpenCV.",
        reads=("survey",),
    )
    path: PathText | None = key(
        None,
        "The table, for source: file. Its ending says what it is: .parquet, .csv, .tsv, .jsonl or .ndjson. A relative path "
        "starts at the recipe.",
        impact="runtime",
        reads=("survey",),
    )
    filename_column: Column = key(
        "filename",
        "For source: file, the column of file names: paths below instance_data_dir, paths from the table's folder, or "
        "bare names.",
        reads=("survey",),
    )
    score_column: Column = key(
        "motion_score",
        "For source: column and file, the column of scores. What is behind the point is cut off.",
        reads=("survey",),
    )
    identifier_includes_extension: bool = key(
        True, "For source: file, whether the file names have their endings.", reads=("survey",)
    )


@section
class Dataset:
    """One set of clips. Key names are those of SimpleTuner's data backend file."""

    id: Name = key(REQUIRED, "A name of its own for this data set.", reads=("survey", "encode-video", "train"))
    type: Literal["local", "csv", "huggingface", "aws", "webdataset"] = key(
        "local",
        "Where the clips are: `local` a folder on this machine, `csv` a table of paths or addresses, `huggingface` a "
        "data set of the hub, `aws` an S3 store, `webdataset` a folder of tar files.",
        impact="runtime",
        reads=("survey",),
    )
    dataset_type: Literal["video", "image", "eval", "conditioning", "text_embeds", "image_embeds"] = key(
        "video",
        "What the data set is: clips or images to train, clips that only measure (`eval`), masks and the like of "
        "another data set (`conditioning`). The two kinds of embeds name caches in SimpleTuner, and nothing here.",
        reads=("survey",),
    )
    instance_data_dir: PathText | None = key(
        Derived(
            "null; csv_cache_dir for type: csv, and data/{id} where that is not given, and for huggingface and aws"
        ),
        "The folder of clips, searched with all its subfolders. A relative path starts at the recipe. For other types "
        "than `local`, `recipe fetch` puts the clips there; for `webdataset` it holds the tar files.",
        impact="runtime",
        reads=("survey", "encode-video"),
    )
    source: (
        Annotated[
            str,
            Pattern(
                r"^(hf:[^/\s]+/[^/\s]+|builtin:(sample-clips|shapes|bars))$",
                "hf:OWNER/NAME, builtin:sample-clips, builtin:shapes or builtin:bars",
            ),
        ]
        | None
    ) = key(
        None,
        "Where `recipe fetch` gets the folder from: `hf:OWNER/NAME`, a data set on the Hugging Face hub, or "
        "`builtin:sample-clips`, a handful of freely licensed clips, or `builtin:shapes`, 320 drawn ones of 64x64 pixels "
        "and 9 frames (`builtin:bars` has 80 more, of a shape of their own).",
        impact="runtime",
        reads=("survey",),
    )
    disabled: bool = key(False, "Leave the data set out.", reads=("survey",), aka="disable")
    caption_strategy: Literal["textfile", "filename", "instanceprompt", "parquet", "csv", "lists", "huggingface"] = key(
        "textfile",
        "Where captions are: `textfile` is a .txt beside each clip, `filename` the file's name, `instanceprompt` the "
        "same instance_prompt for all, `parquet`, `csv` and `huggingface` columns of a table, `lists` the lines of `prompt.txt` or "
        "`prompts.txt` in the data folder, each for the clip that the same line of `videos.txt` names.",
        reads=("survey",),
        aka="caption_strategy",
        refused={"instance_prompt": "data sets spell it `instanceprompt`"},
    )
    instance_prompt: str | None = key(
        None,
        "The caption of every clip, for caption_strategy: instanceprompt and only_instance_prompt; what comes before "
        "each caption, for prepend_instance_prompt.",
        reads=("survey",),
        aka="instance_prompt",
    )
    prepend_instance_prompt: bool = key(
        False,
        "Put instance_prompt before each caption.",
        reads=("survey",),
        aka="prepend_instance_prompt",
    )
    only_instance_prompt: bool = key(
        False,
        "Use instance_prompt in place of every caption.",
        reads=("survey",),
        aka="only_instance_prompt",
    )
    multiline: Literal["whole", "split"] = key(
        "whole",
        "A caption file of several lines is one caption, or each line is a caption of its own and one is drawn for "
        "each sample. The same holds for several columns, rows, and lists of a table. (SimpleTuner splits files, unless "
        "disable_multiline_split.)",
        reads=("survey", "train"),
    )
    caption_weights: tuple[Weight, ...] | None = key(
        None,
        "With multiline: split, how often each line is drawn, in the order of lines and compared with each other: `[95, 5]` "
        "draws the first in 95 % of samples. 0 leaves a line out. A clip of one caption needs none. With several columns of "
        "captions, numbers belong to columns. With null, all captions are drawn alike.",
        reads=("survey",),
    )
    metadata_backend: Literal["discovery", "parquet", "huggingface", "json"] = key(
        "discovery", "Clips are read themselves.", ignored=_LOOKED_AT
    )
    metadata_update_interval: Annotated[int, Ge(1)] | None = key(
        None, "Accepted and never applied.", unit="seconds", ignored=_LOOKED_AT
    )
    scan_for_errors: bool = key(False, "Accepted and never applied.", ignored=_LOOKED_AT)
    skip_file_discovery: str | None = key(None, "Accepted and never applied.", ignored=_LOOKED_AT)
    repeats: Annotated[int, Ge(0), Le(MOST_AT_ONCE)] = key(
        0,
        "Extra passes: each clip, or each of its windows with video.window uniform, is seen repeats + 1 times in an epoch.",
        reads=("survey", "train"),
    )
    probability: Annotated[float, Gt(0), Le(1)] = key(
        1.0,
        "Share of the data set's samples that each epoch takes, drawn anew. What makes no whole sample is carried into the "
        "next epoch.",
        reads=("train",),
    )
    max_num_samples: Count | None = key(
        None,
        "Use a random choice of at most so many clips, of those that nothing else leaves out. It follows from the data "
        "set's id and the clips' bytes, so it is the same each time. A clip of several windows counts once.",
        unit="clips",
        reads=("survey",),
    )
    start_epoch: Count = key(
        1,
        "The first epoch that uses the data set. Where the data sets in use change, an epoch ends and the next begins.",
        reads=("train",),
    )
    start_step: StepsOrNone = key(
        0, "The first step that uses the data set, counted from 1. 0 is the beginning, too.", reads=("train",)
    )
    end_epoch: Count | None = key(None, "The last epoch that uses the data set.", reads=("train",))
    end_step: Steps | None = key(None, "The last step that uses the data set, counted from 1.", reads=("train",))
    resolution: Edge | None = key(
        None,
        "Size to train at, by resolution_type. With null, data.buckets lists the sizes.",
        reads=("survey", "encode-video", "train"),
        aka="resolution",
    )
    resolution_type: Literal["pixel", "area", "pixel_area"] = key(
        "pixel_area",
        "What resolution means: `pixel` the shorter edge, `area` megapixels, `pixel_area` the edge of a square of that "
        "area. The arithmetic is SimpleTuner's.",
        reads=("survey",),
        aka="resolution_type",
    )
    minimum_image_size: Edge | None = key(
        None,
        "Smaller clips are left out. In the unit of resolution_type.",
        reads=("survey",),
        aka="minimum_image_size",
    )
    maximum_image_size: Edge | None = key(
        None,
        "Larger clips are first made smaller, to target_downsample_size. In the unit of resolution_type.",
        reads=("survey",),
        aka="maximum_image_size",
        ignored="every clip is resized once, straight to its bucket",
    )
    target_downsample_size: Edge | None = key(
        None,
        "See maximum_image_size.",
        reads=("survey",),
        aka="target_downsample_size",
        ignored="every clip is resized once, straight to its bucket",
    )
    minimum_aspect_ratio: AspectRatio | None = key(
        None, "Narrower clips (width / height) are left out.", reads=("survey",)
    )
    maximum_aspect_ratio: AspectRatio | None = key(
        None, "Wider clips (width / height) are left out.", reads=("survey",)
    )
    aspect_bucket_alignment: Annotated[int, Ge(8), Le(256)] = key(
        64,
        "With resolution, sides are rounded to a multiple of this. The model needs 16.",
        unit="pixels",
        reads=("survey",),
        aka="aspect_bucket_alignment",
    )
    aspect_bucket_rounding: Annotated[int, Ge(1), Le(9)] = key(
        2,
        "With resolution, shapes are rounded to so many digits before they are sized.",
        reads=("survey",),
        aka="aspect_bucket_rounding",
    )
    crop: bool = key(
        False,
        "With resolution: cut clips to the shape of crop_aspect. Otherwise they keep their own.",
        reads=("survey", "encode-video"),
    )
    crop_aspect: Literal["square", "preserve", "closest", "random"] = key(
        "square",
        "The shape that clips are cut to, with crop: a square, their own, the nearest of crop_aspect_buckets, or one of "
        "them that follows from the clip's id (data set and path), so that it is the same each time.",
        reads=("survey",),
    )
    crop_aspect_buckets: tuple[AspectRatio, ...] | None = key(
        None, "The shapes (width / height) for crop_aspect closest and random.", reads=("survey",)
    )
    crop_style: Literal["center", "corner", "random"] = key(
        "center",
        "Where a clip is cut that does not fit its bucket: `center` keeps its middle, `corner` its upper left corner, and "
        "`random` a place that follows from the clip's id (data set and path), so that it is the same each time.",
        reads=("survey", "encode-video"),
        refused={"centre": "it is spelt `center`", "face": "there is no face detector; take `center`"},
    )
    train_batch_size: Count | None = key(
        None,
        "Clips in one forward pass, where it differs for this data set. A step then takes so many × "
        "gradient_accumulation_steps × processes of its samples; data sets with different numbers never share a step.",
        unit="clips",
        reads=("train",),
    )
    conditioning_data: Annotated[tuple[Name, ...], ONE_OR_MANY] | None = key(
        None, "Ids of the data sets that hold masks for this one.", reads=("survey",)
    )
    conditioning_type: Literal["mask", "segmentation"] | None = key(
        None,
        "What a data set of dataset_type conditioning holds, each file named as its clip but for the ending: pictures or "
        "videos that are white where the loss counts (`mask`), or that show a label in each place (`segmentation`).",
        reads=("survey",),
    )
    label_weights: Mapping[Label, Share] = key(
        {},
        "With conditioning_type segmentation: how much each label counts. A label is a colour such as '#ff8000', or a gray "
        "value; those that are not named count 0. With none named, each but black counts 1.",
        reads=("survey", "encode-video"),
    )
    source_dataset_id: Name | None = key(None, "The data set that a conditioning one belongs to.", reads=("survey",))
    cache_dir_vae: PathText | None = key(None, "Accepted and never applied.", ignored=_BY_CONTENT)
    cache_dir: PathText | None = key(None, "Accepted and never applied.", ignored=_BY_CONTENT)
    default: bool | None = key(None, "Accepted and never applied.", ignored=_BY_CONTENT)
    text_embeds: Name | None = key(None, "Accepted and never applied.", ignored=_BY_CONTENT)
    image_embeds: Name | None = key(None, "Accepted and never applied.", ignored=_BY_CONTENT)
    write_batch_size: Count | None = key(None, "Accepted and never applied.", ignored=_BY_CONTENT)
    text_encoder_batch_size: Count | None = key(None, "Accepted and never applied.", ignored=_BY_CONTENT)
    vae_cache_ondemand: bool = key(False, "Accepted and never applied.", ignored=_BY_CONTENT)
    vae_cache_disable: bool = key(False, "Accepted and never applied.", ignored=_BY_CONTENT)
    vae_cache_clear_each_epoch: bool = key(False, "Accepted and never applied.", ignored=_BY_CONTENT)
    preserve_data_backend_cache: bool = key(False, "Accepted and never applied.", ignored=_BY_CONTENT)
    hash_filenames: bool | None = key(None, "Accepted and never applied.", ignored=_BY_CONTENT)
    csv_file: PathText | None = key(
        None,
        "The table, for type: csv and caption_strategy: csv: .csv, .tsv, .jsonl, .ndjson or .parquet. A relative path "
        "starts at the recipe.",
        impact="runtime",
        reads=("survey",),
    )
    csv_caption_column: Annotated[tuple[Column, ...], ONE_OR_MANY] = key(
        ("caption",),
        "Its column of captions, or several, each of captions of its own. Fields of JSON lines and Parquet may hold lists. "
        "See multiline.",
        reads=("survey",),
    )
    csv_caption_weight_column: Column | None = key(
        None,
        "With multiline: split, its column of weights: how often a row is drawn, of several for one clip. A list holds one "
        "for each caption of its row.",
        reads=("survey",),
    )
    csv_url_column: Column = key(
        "url", "Its column of paths, from the table's folder, or addresses (http, https).", reads=("survey",)
    )
    csv_cache_dir: PathText | None = key(
        None,
        "The folder for type: csv: downloads are kept there. instance_data_dir says the same.",
        impact="runtime",
        reads=("survey",),
    )
    dataset_name: Annotated[str, Pattern(r"^[^/\s]+/[^/\s]+$", "OWNER/NAME")] | None = key(
        None, "The data set on the hub, for type: huggingface.", reads=("survey",)
    )
    split: Text = key("train", "Its split.", reads=("survey",))
    revision: Text | None = key(None, "Its branch, tag or commit.", reads=("survey",))
    streaming: bool = key(
        False,
        "Read its Parquet files over the network, a row group at a time, with none of them on disk. With max_num_samples, "
        "`recipe fetch` stops when the first so many readable clips are there.",
        impact="runtime",
        reads=("survey",),
    )
    aws_bucket_name: Text | None = key(None, "The bucket, for type: aws.", reads=("survey",))
    aws_data_prefix: str = key("", "The folder in it.", reads=("survey",))
    aws_region_name: Text | None = key(None, "Its region.", impact="runtime", reads=("survey",))
    aws_endpoint_url: Annotated[str, Pattern(r"^https?://", "an address")] | None = key(
        None, "The address of a store that is not Amazon's.", impact="runtime", reads=("survey",)
    )
    video: Video
    caption_shuffle: CaptionShuffle
    motion: Motion
    parquet: Parquet
    huggingface: HuggingFace


@section
class Data:
    """The clips, and how they become latents."""

    datasets: tuple[Dataset, ...] = key(REQUIRED, "The data sets.", reads=("survey",))
    framerate: Annotated[float, Gt(0), Le(240)] = key(
        Family("framerate"),
        "Clips are resampled to this rate by their timestamps.",
        unit="fps",
        reads=("survey", "encode-video"),
        aka="framerate",
    )
    buckets: tuple[Size, ...] = key(
        Family("buckets"),
        "The frame sizes that are trained. Each clip goes to the one of nearest shape, is resized to cover it "
        "and cropped at the centre. The default is the family's official table.",
        reads=("survey", "encode-video", "train"),
    )
    sampling: Literal["auto-weighting", "uniform"] = key(
        "auto-weighting",
        "How often each data set is drawn: by its number of samples, or all alike. With `uniform`, an epoch takes as "
        "many samples of each as the one with fewest has, drawn anew.",
        reads=("train",),
        aka="data_backend_sampling",
    )
    motion_score: Annotated[int, Ge(0), Le(1000)] | None = key(
        Family("motion_score"),
        "Each caption and validation prompt ends with ` motion score: N.`, as the model saw in its training; "
        "null leaves it out. Captions of a data set may have scores of their own: see its `motion`.",
        reads=("encode-text", "validate"),
        aka="sana_motion_score",
    )
    on_problem: Literal["quarantine", "skip", "error", "delete"] = key(
        "quarantine",
        "What happens to a clip that can't be read: it is listed with the reason and left out (`quarantine`), left out "
        "without a warning (`skip`), the plan is refused (`error`), or `recipe plan` and `recipe run` move it into a trash "
        "folder beside the data folder, `.NAME.trash`, whose manifest.jsonl says where it was (`delete`).",
        reads=("survey",),
    )
    on_missing_caption: Literal["error", "skip"] = key(
        "error",
        "What happens to a clip without a caption: the plan is refused, or the clip is left out and listed.",
        reads=("survey",),
    )
    on_duplicate: Literal["train", "skip"] = key(
        "train",
        "What happens to a clip that its data set has already, with the same bytes and captions: it counts once more, or is "
        "left out and listed.",
        reads=("survey",),
    )
    image_interval: Steps | None = key(
        None,
        "After every so many steps, the next one is of images: with 50, those after step 50, 100, and so on. Images are "
        "clips of one frame. With null, they take part by their number, as every data set does.",
        unit="steps",
        reads=("train",),
    )
    vae_batch_size: Count = key(
        1,
        "Clips that the VAE encodes at once. Another number may change the last bits of latents.",
        unit="clips",
        reads=("encode-video",),
        aka="vae_batch_size",
    )
    store_dir: PathText = key(
        "store",
        "Where latents and text embeddings are kept, by content: runs may share it. A relative path starts at "
        "the recipe.",
        impact="runtime",
        reads=("encode-text", "encode-video", "train", "validate"),
    )
    compress: bool = key(
        False,
        "Compress what is written there, without loss: about a sixth less space for latents, slower to read. What is "
        "there already is read either way.",
        impact="runtime",
        reads=("encode-text", "encode-video"),
        aka="compress_disk_cache",
    )
