"""The rules: one file each. The three tuples are the whole register; nothing is discovered.

A file is loaded only when its rule is asked: a lint should not pay for rules about what its recipe does not mention.
"""

from importlib import import_module
from typing import NamedTuple

from recipe_compiler.rules.rule import Rule


class Listed(NamedTuple):
    """A rule in the register.

    Attributes:
        code: Its code.
        module: The module that holds it.
        given: Keys or sections, an element of a table written ``*``. If the recipe gives none of them, the rule finds
            nothing, and is not loaded.
    """

    code: str
    module: str
    given: tuple[str, ...] = ()

    def load(self) -> Rule:
        """Return the rule itself."""
        rule: Rule = import_module(f"{__name__}.{self.module}").RULE
        return rule


ON_SETTINGS: tuple[Listed, ...] = (
    Listed("R201", "setting_ignored"),
    Listed("R202", "vae_differs", ("model",)),
    Listed("R203", "ema_settings_without_ema", ("ema",)),
    Listed("R204", "ema_never_updated", ("ema",)),
    Listed("R205", "random_weights_without_folder", ("model.random_weights",)),
    # R206 belonged to a rule that is no more; it is not used again.
    Listed("R207", "full_training_of_quantized_weights", ("model.base_model_precision",)),
    Listed(
        "R208",
        "settings_of_something_off",
        (
            "model.lora",
            "model.quantize_via",
            "memory.group_offload",
            "regularizers",
            "validation.preview",
            "data.datasets.*.caption_shuffle",
            "data.datasets.*.caption_weights",
            "data.datasets.*.csv_caption_weight_column",
            "data.datasets.*.parquet.caption_weight_column",
            "data.datasets.*.video.i2v_probability",
            "data.datasets.*.video.i2v_noise",
            "launch.strategy",
            "checkpoints.rolling_total_limit",
            "alarms",
            "train.huber_c",
            "train.huber_schedule",
            "train.noise_offset_probability",
            "train.input_perturbation_steps",
            "lr_schedule",
            "evaluation.pretrained_model_name_or_path",
            "evaluation.num_frames",
        ),
    ),
    Listed("R209", "target_not_found", ("model.lora.target_modules",)),
    Listed("R210", "optimizer_needs_bf16", ("optimizer.name",)),
    Listed("R211", "optimizer_finds_its_rate", ("optimizer.name",)),
    Listed("R212", "ema_longer_than_training", ("ema.enabled",)),
    Listed("R213", "ema_only_copies", ("ema.warmup_steps",)),
    Listed("R214", "lora_scale_implausible", ("model.lora.alpha",)),
    Listed("R215", "dora_with_lokr", ("model.lora.use_dora",)),
    Listed("R217", "dora_of_quantized_weights", ("model.base_model_precision",)),
    Listed(
        "R218",
        "package_missing",
        ("optimizer.name", "model.base_model_precision", "model.text_encoder_precision"),
    ),
    Listed("R219", "lokr_has_none", ("model.lora.type",)),
    Listed("R220", "split_unfit", ("model.lora.init",)),
    Listed("R221", "biases_of_adapter", ("train.layer_freeze_strategy",)),
    Listed("R222", "graphs_without_cuda", ("hardware.compile",)),
    Listed(
        "R223",
        "model_folder_missing",
        ("model", "regularizers.crepa.encoder_path", "evaluation.pretrained_model_name_or_path"),
    ),
    Listed("R308", "frames_not_legal", ("data", "validation")),
    Listed("R309", "size_not_legal", ("data", "validation")),
    Listed("R310", "frame_limits", ("data.datasets.*.video",)),
    Listed(
        "R311",
        "instance_prompt_missing",
        (
            "data.datasets.*.caption_strategy",
            "data.datasets.*.instance_prompt",
            "data.datasets.*.prepend_instance_prompt",
            "data.datasets.*.only_instance_prompt",
        ),
    ),
    Listed("R312", "data_set_id_twice", ("data",)),
    Listed("R318", "data_folder_not_given", ("data",)),
    Listed("R319", "source_incomplete", ("data",)),
    Listed(
        "R321",
        "resolution_unfit",
        (
            "data.datasets.*.resolution",
            "data.datasets.*.resolution_type",
            "data.datasets.*.minimum_image_size",
            "data.datasets.*.aspect_bucket_alignment",
            "data.datasets.*.aspect_bucket_rounding",
        ),
    ),
    Listed(
        "R322",
        "size_limits",
        (
            "data.datasets.*.resolution",
            "data.datasets.*.minimum_image_size",
            "data.datasets.*.minimum_aspect_ratio",
            "data.datasets.*.maximum_aspect_ratio",
        ),
    ),
    Listed("R323", "folders_overlap", ("data",)),
    Listed(
        "R324",
        "crop_settings",
        ("data.datasets.*.crop", "data.datasets.*.crop_aspect", "data.datasets.*.crop_aspect_buckets"),
    ),
    Listed("R325", "frame_interval_idle", ("data.datasets.*.video.frame_interval",)),
    Listed("R326", "clips_moved", ("data.on_problem",)),
    Listed(
        "R327",
        "conditioning_unpaired",
        (
            "data.datasets.*.conditioning_data",
            "data.datasets.*.conditioning_type",
            "data.datasets.*.source_dataset_id",
            "data.datasets.*.dataset_type",
        ),
    ),
    Listed("R329", "motion_source_unclear", ("data.datasets.*.motion",)),
    Listed("R331", "motion_not_measurable", ("data.datasets.*.motion.source",)),
    Listed("R333", "data_folder_is_address", ("data",)),
    Listed("R334", "nothing_to_train", ("data",)),
    Listed("R335", "windows_never_several", ("data.datasets.*.video.window",)),
    Listed("R336", "max_windows_idle", ("data.datasets.*.video.max_windows",)),
    Listed("R337", "random_window_measured", ("data.datasets.*.video.window",)),
    Listed("R341", "alignment_not_legal", ("data.datasets.*.aspect_bucket_alignment",)),
    Listed("R342", "video_settings_of_images", ("data.datasets.*.dataset_type",)),
    Listed("R343", "image_interval_one_sided", ("data.image_interval",)),
    Listed(
        "R344",
        "untrained_set_settings",
        (
            "data.datasets.*.train_batch_size",
            *(f"data.datasets.*.{key}" for key in ("start_step", "end_step", "start_epoch", "end_epoch")),
        ),
    ),
    Listed("R346", "epoch_cut_short", ("data.datasets.*.start_epoch", "data.datasets.*.end_epoch")),
    Listed("R348", "caption_weights_zero", ("data.datasets.*.caption_weights",)),
    Listed("R350", "split_without_files", ("data.datasets.*.multiline",)),
    Listed("R401", "length_not_given"),
    Listed("R402", "warmup_too_long", ("lr_schedule.warmup_steps",)),
    Listed("R403", "warmup_without_effect", ("lr_schedule.warmup_steps", "lr_schedule.end")),
    Listed("R404", "end_above_peak", ("lr_schedule.end",)),
    Listed("R405", "clipping_off", ("train",)),
    Listed("R406", "learning_rate_implausible", ("optimizer",)),
    Listed("R407", "nothing_saved_on_the_way", ("train", "checkpoints")),
    Listed("R408", "swing_period", ("lr_schedule.name",)),
    Listed("R409", "warmup_like_period", ("lr_schedule.warmup_steps",)),
    Listed(
        "R410",
        "value_implausible",
        ("optimizer", "ema", "lr_schedule", "train", "data.framerate", "validation", "model.lora", "regularizers"),
    ),
    Listed("R411", "crepa_blocks", ("regularizers.crepa.enabled",)),
    Listed("R412", "crepa_course", ("regularizers.crepa.enabled",)),
    Listed("R413", "crepa_without_means", ("regularizers.crepa.enabled",)),
    Listed("R414", "rollout_course", ("regularizers.rollout.max_step_offset",)),
    Listed("R415", "masks_missing", ("regularizers.masked_loss", "data.datasets.*.conditioning_type")),
    Listed("R416", "evaluation_incomplete", ("evaluation", "data.datasets.*.dataset_type")),
    Listed(
        "R417",
        "data_set_times",
        tuple(f"data.datasets.*.{key}" for key in ("start_step", "end_step", "start_epoch", "end_epoch")),
    ),
    Listed(
        "R418",
        "interval_beyond_run",
        ("validation", "evaluation", "checkpoints.rolling_steps", "checkpoints.epoch_interval", "data.image_interval"),
    ),
    Listed("R420", "rollout_setting_without_effect", ("regularizers.rollout.max_step_offset",)),
    Listed("R421", "restarts_implausible", ("lr_schedule.name",)),
    Listed("R422", "crepa_setting_without_effect", ("regularizers.crepa.enabled",)),
    Listed("R424", "nothing_after_first_frame", ("data.datasets.*.video.is_i2v",)),
    Listed("R425", "first_frame_never_given", ("data.datasets.*.video.is_i2v",)),
    Listed("R426", "first_frame_drowned", ("data.datasets.*.video.is_i2v",)),
    # R427 and R429 belonged to rules that are no more; they are not used again.
    Listed("R428", "reflexflow_adds_nothing", ("regularizers.rollout.reflexflow",)),
    Listed("R430", "label_weights_idle", ("data.datasets.*.label_weights",)),
    Listed("R431", "rollout_order_never_reached", ("regularizers.rollout.order",)),
    Listed("R501", "offload_twice", ("memory.model_cpu_offload",)),
    Listed("R502", "stream_without_cuda", ("memory.group_offload.use_stream",)),
    Listed("R503", "offload_of_trained_weights", ("memory.group_offload.enabled",)),
    Listed("R504", "stream_with_checkpointing", ("memory.group_offload.use_stream",)),
    Listed("R505", "release_needs_all_gradients", ("optimizer.release_gradients",)),
    Listed("R506", "quantized_weights_on_disk", ("memory.group_offload.to_disk_path",)),
    Listed("R507", "vae_dropped_and_needed", ("regularizers.crepa.drop_vae_encoder",)),
    Listed("R508", "blocks_per_group", ("memory.group_offload.blocks_per_group",)),
    Listed("R510", "resume_step_impossible", ("checkpoints.resume",)),
    # R511 belonged to a rule that is no more; it is not used again.
    Listed("R512", "sharding_needs_whole_weights", ("launch.strategy",)),
    Listed("R513", "accepted_change_unknown", ("checkpoints.accept_changes",)),
    Listed("R514", "sharded_layout_impossible", ("checkpoints.layout",)),
    Listed("R601", "validation_size_untrained", ("data", "validation")),
    Listed("R602", "validation_without_prompt", ("validation",)),
    Listed("R603", "nickname_clash", ("validation",)),
    Listed("R604", "validation_costly", ("validation",)),
    Listed("R606", "preview_not_seen", ("validation.preview",)),
    Listed("R607", "preview_never_sent", ("validation.preview",)),
    Listed("R608", "clip_score_of_video", ("evaluation.type",)),
    Listed("R609", "webhook_address_unclear", ("tracking.webhooks",)),
    Listed("R610", "secret_in_recipe", ("tracking.webhooks", "hub.token_env")),
    Listed("R611", "webhook_type_differs", ("tracking.webhooks",)),
    Listed("R612", "push_without_repository", ("hub",)),
    Listed("R613", "preview_decoder_missing", ("validation.preview.decoder",)),
    Listed("R614", "validation_other_speed", ("validation.framerate",)),
    Listed("R617", "first_frame_without_use", ("validation.images",)),
    Listed("R618", "clip_score_without_model", ("evaluation.type",)),
    Listed("R619", "clip_score_of_nothing", ("evaluation.type",)),
    Listed("R620", "tracking_without_effect", ("tracking.webhook_interval", "tracking.wandb_mode")),
    Listed("R623", "prompt_without_picture", ("data.datasets.*.video.is_i2v",)),
    Listed("R624", "clip_is_its_picture", ("validation.images",)),
    Listed("R780", "caption_weights_of_columns", ("data.datasets.*.caption_weights",)),
    Listed(
        "R781",
        "caption_column_twice",
        (
            "data.datasets.*.csv_caption_column",
            "data.datasets.*.parquet.caption_column",
            "data.datasets.*.huggingface.caption_column",
        ),
    ),
    Listed("R801", "wandb_without_login", ("tracking.report_to",)),
    Listed("R802", "hub_without_login", ("hub",)),
    Listed("R803", "tracker_not_installed", ("tracking.report_to",)),
    Listed("R804", "webhook_variable_not_set", ("tracking.webhooks",)),
)
"""Rules that are asked at every look."""

ON_DATA: tuple[Listed, ...] = (
    Listed("R301", "data_folder_missing"),
    Listed("R302", "no_clips"),
    Listed("R303", "bucket_too_small"),
    Listed("R304", "data_set_too_small_for_vae"),
    Listed("R305", "clip_unreadable"),
    Listed("R306", "caption_missing"),
    Listed("R307", "clip_filtered"),
    Listed("R313", "caption_repeated"),
    Listed("R314", "caption_too_long"),
    Listed("R315", "stem_twice"),
    Listed("R316", "clip_enlarged"),
    Listed("R317", "framerate_above_source"),
    Listed("R328", "caption_of_several_lines"),
    Listed("R338", "windows_nothing_to_choose", ("data.datasets.*.video.window",)),
    Listed("R339", "windows_never_seen", ("data.datasets.*.video.window",)),
    Listed("R330", "motion_score_missing", ("data.datasets.*.motion",)),
    Listed("R332", "clip_twice"),
    Listed("R340", "caption_table_unusable", ("data",)),
    Listed("R345", "steps_without_data", ("data.datasets.*.start_epoch", "data.datasets.*.end_epoch")),
    Listed("R347", "caption_weights_uneven", ("data.datasets.*.caption_weights",)),
    Listed("R360", "clips_without_masks", ("regularizers.masked_loss.enabled",)),
    Listed("R361", "mask_unfit", ("regularizers.masked_loss.enabled",)),
    Listed("R423", "nothing_set_apart", ("evaluation.fraction",)),
    Listed("R621", "first_image_unreadable", ("validation.images",)),
    Listed("R622", "first_image_reshaped", ("validation.images",)),
)
"""Rules that are asked after a look at the data."""

ON_PLANS: tuple[Listed, ...] = (Listed("R805", "disk_too_small"),)
"""Rules that are asked before a plan or a run alone."""


def all_rules() -> tuple[Rule, ...]:
    """Load every rule, in order of the codes."""
    return tuple(listed.load() for listed in sorted(ON_SETTINGS + ON_DATA + ON_PLANS))
