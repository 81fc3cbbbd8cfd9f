"""Resolve: every key of the language gets a value, and every value its origin."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from recipe_compiler.data.crop import cut_shape
from recipe_compiler.data.geometry import resolution_of, target_size
from recipe_compiler.settings import CACHES, Origin, OriginKind, Resolved, Setting, text_paths
from recipe_compiler.source import Source, Span, start_of
from recipe_compiler.syntax.tree import BadNode, ListNode, MapNode, Node, ScalarNode, to_plain, walk
from recipe_schema.definition import Leaf, Section, Spec, Table, definition, generic
from recipe_schema.family import FamilyFacts, load_family
from recipe_schema.marks import Derived, Family, Required


def resolve(
    tree: MapNode, bad: frozenset[tuple[str | int, ...]], main: Source, stem: str, variant: str = ""
) -> Resolved:
    """Fill in defaults and derived values.

    Args:
        tree: A validated tree.
        bad: Paths about which something was said; they count as not given.
        main: The recipe's own source.
        stem: The recipe's file name without its ending, the default of ``name``.
        variant: The id of the variant; empty for a recipe without a matrix.
    """
    family = load_family(_family_name(tree))
    resolver = _Resolver(family=family, main=main, bad=set(text_paths(bad)), variant=variant)
    resolver.section(definition(), tree, "")
    resolver.derive(stem)
    places = {
        ".".join(str(part) for part in path): _place(place.node, place.key_span) for path, place in walk(tree) if path
    }
    return Resolved(
        settings=resolver.settings, places=places, bad=frozenset(resolver.bad), family=family, start=start_of(main)
    )


def _family_name(tree: MapNode) -> str:
    """Return the family that the recipe names, or the default one, so that the other checks go on."""
    choices = next(leaf for leaf in definition().children["model"].children.values() if leaf.path == "model.family")  # type: ignore[union-attr]
    assert isinstance(choices, Leaf)
    entry = tree.entries.get("model")
    named = to_plain(entry.node).get("family") if entry and isinstance(entry.node, MapNode) else None
    return named if named in choices.spec.choices else str(choices.key.default)


def _as_written(node: Node) -> Node:
    """Return the single value that a list of one was made of, if it was."""
    alone = isinstance(node, ListNode) and len(node.items) == 1 and node.items[0].span == node.span
    return node.items[0] if alone and isinstance(node, ListNode) else node


def _place(node: Node, key_span: Span | None) -> Span:
    node = _as_written(node)
    one_line = node.span.line == node.span.end_line and node.span.column != node.span.end_column
    return node.span if key_span is None or (one_line and isinstance(node, ScalarNode)) else key_span


class _Resolver:
    def __init__(self, family: FamilyFacts, main: Source, bad: set[str], variant: str) -> None:
        self.family = family
        self.main = main
        self.bad = bad
        self.variant = variant
        self.settings: dict[str, Setting] = {}
        self._derived: list[Setting] = []

    def section(self, section: Section, node: Node | None, path: str) -> None:
        entries = node.entries if isinstance(node, MapNode) else {}
        for name, child in section.children.items():
            where = f"{path}.{name}" if path else name
            below = entries[name].node if name in entries else None
            if isinstance(child, Section):
                self.section(child, below, where)
            elif isinstance(child, Table):
                items = below.items if isinstance(below, ListNode) else ()
                for index, item in enumerate(items):
                    self.section(child.item, item, f"{where}.{index}")
            else:
                self._leaf(child, below, where)

    def _leaf(self, leaf: Leaf, node: Node | None, path: str) -> None:
        if node is None or isinstance(node, BadNode) or path in self.bad:
            self._default(leaf, path)
            return
        shadowed = tuple((_typed(to_plain(s), leaf.spec), self._origin(s)) for s in node.shadows)
        self.settings[path] = Setting(
            path=path,
            leaf=leaf,
            value=_typed(to_plain(node), leaf.spec),
            origin=self._origin(node),
            shadowed=shadowed,
            ignored=self.family.ignored().get(generic(path), leaf.key.ignored) if to_plain(node) is not None else None,
        )

    def _origin(self, node: Node) -> Origin:
        node = _as_written(node)
        kind: OriginKind = "recipe" if node.span.source is self.main else "fragment"
        if not node.span.source.is_file:
            kind = "override"
        if isinstance(node, ScalarNode) and node.template is not None:
            return Origin(kind="template", span=node.span, detail=node.template)
        onto = f"appended to {', '.join(map(str, node.onto))}" if isinstance(node, ListNode) and node.onto else ""
        return Origin(kind=kind, span=node.span, detail=onto)

    def _default(self, leaf: Leaf, path: str) -> None:
        default = leaf.key.default
        if isinstance(default, Required):
            self.bad.add(path)
            self.settings[path] = Setting(path=path, leaf=leaf, value=None, origin=Origin(kind="default"))
        elif isinstance(default, Family):
            value, origin = self.family.default(default.name), Origin(kind="family", detail=self.family.name)
            self.settings[path] = Setting(path=path, leaf=leaf, value=_typed(value, leaf.spec), origin=origin)
        elif isinstance(default, Derived):
            setting = Setting(path=path, leaf=leaf, value=None, origin=Origin(kind="derived", detail=default.formula))
            self.settings[path] = setting
            self._derived.append(setting)
        else:
            value = (
                dict(default)
                if isinstance(default, Mapping)
                else list(default)
                if isinstance(default, tuple)
                else default
            )
            self.settings[path] = Setting(path=path, leaf=leaf, value=value, origin=Origin(kind="default"))

    def derive(self, stem: str) -> None:
        """Compute what follows from other settings."""
        for setting in self._derived:
            value = _DERIVE[setting.leaf.path](self, setting.path, stem)
            if setting.path in _OWN and self.variant:
                value = _of_variant(value, self.variant)
            self.settings[setting.path] = Setting(
                path=setting.path, leaf=setting.leaf, value=value, origin=setting.origin
            )

    def value(self, path: str) -> Any:
        """Return the value of a setting that is resolved already."""
        return self.settings[path].value


def _typed(value: Any, spec: Spec) -> Any:
    """Give a valid value the type that its key states: ``16`` becomes 16.0 where a number is meant."""
    if spec.container == "list" and isinstance(value, list):
        return [_typed(item, Spec(kind=spec.kind)) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if spec.kind == "number":
        return float(value)
    return int(value) if spec.kind == "integer" else value


_OWN = ("name", "output_dir")
"""What variants don't share."""

_LONGEST_NAME = 64


def _file_name(text: str) -> str:
    name = "".join(c if (c.isalnum() and c.isascii()) or c in "._-" else "-" for c in text).strip(".-_")[:_LONGEST_NAME]
    return name or "recipe"


def _of_variant(name: str, variant: str) -> str:
    """Put the id of a variant behind a name, unless it is there already."""
    return name if name.endswith(f"-{variant}") else f"{name[: _LONGEST_NAME - len(variant) - 1]}-{variant}"


class Known(Protocol):
    """Settings that are known already, which others follow from."""

    @property
    def family(self) -> FamilyFacts:
        """The model family."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """All settings by path."""

    def value(self, path: str) -> Any:
        """Return the value of a setting."""


def usual_value(leaf: Leaf, path: str, known: Known, stem: str) -> Any:
    """Return the value that a setting has if nobody gives it.

    Args:
        leaf: A key that has a default.
        path: The setting.
        known: The other settings.
        stem: The recipe's file name without its ending.
    """
    default = leaf.key.default
    if isinstance(default, Family):
        return _typed(known.family.default(default.name), leaf.spec)
    return _DERIVE[leaf.path](known, path, stem) if isinstance(default, Derived) else default


_USUAL_SHAPE = (1920, 1080)
"""Pixels of the clips that most people have."""


def _validation_size(known: Known) -> str:
    tables = [path.removesuffix(".id") for path in known.settings if generic(path) == "data.datasets.*.id"]
    used = [t for t in tables if not known.value(f"{t}.disabled") and known.value(f"{t}.dataset_type") not in CACHES]
    if used and all(known.value(f"{table}.resolution") is not None for table in used):
        shape = cut_shape(*_USUAL_SHAPE, known.value, used[0], "")
        width, height = target_size(*shape, resolution_of(known.value, used[0]))
        return f"{width}x{height}"
    sizes, usual = known.value("data.buckets"), known.family.default("resolution")
    return str(usual if usual in sizes else sizes[0])


def _folder_of_clips(known: Known, path: str) -> str | None:
    """Return where `recipe fetch` puts clips, unless the recipe says it."""
    table = path.rpartition(".")[0]
    kind = known.value(f"{table}.type")
    if kind not in ("csv", "huggingface", "aws"):
        return None
    cache: str | None = known.value(f"{table}.csv_cache_dir") if kind == "csv" else None
    return cache or f"data/{known.value(f'{table}.id')}"


_DRAWN_FROM = 4
"""Windows of a clip that are encoded where one is drawn for each sample. Each costs as much as a clip of its own."""


def _candidates(known: Known, path: str) -> int | None:
    return _DRAWN_FROM if known.value(path.rpartition(".")[0] + ".window") == "random" else None


_DERIVE: Mapping[str, Callable[[Known, str, str], Any]] = {
    "name": lambda _, __, stem: _file_name(stem),
    "output_dir": lambda r, _, __: f"runs/{r.value('name')}",
    "model.pretrained_vae_model_name_or_path": lambda r, _, __: r.value("model.pretrained_model_name_or_path"),
    "data.datasets.*.instance_data_dir": lambda r, path, _: _folder_of_clips(r, path),
    "data.datasets.*.video.min_frames": lambda r, path, _: r.value(path.rpartition(".")[0] + ".num_frames"),
    "data.datasets.*.video.max_windows": lambda r, path, _: _candidates(r, path),
    "model.pretrained_transformer_model_name_or_path": lambda r, _, __: r.value("model.pretrained_model_name_or_path"),
    "model.lora.alpha": lambda r, _, __: float(r.value("model.lora.rank")),
    "tracking.run_name": lambda r, _, __: r.value("name"),
    "validation.resolution": lambda r, _, __: _validation_size(r),
    "validation.framerate": lambda r, _, __: r.value("data.framerate"),
}
