"""What a registered name stands for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryEntry:
    """A name that `--model` knows."""

    name: str
    description: str
    source: str | None = None
    """A folder or hub id; the name itself for built ones."""
    original: str | None = None
    """Hub id of the same weights in the original LLaVA format."""
    aliases: tuple[str, ...] = ()
    """Other names for it; its hub ids, with and without their owner, are names anyway."""
    builder: str | None = None
    """`package.module:function`, called with the name, that gives (model, processor)."""
    questions: str | None = None
    """`package.module:function` that gives the checkpoint's own samples, or the name of a question
    set that ships with the package."""
    images: str | None = None
    """Where the images of that question set are, as `--images` takes it."""
    exceptions: Mapping[str, str] = field(default_factory=dict)
    """Mechanism id, or `id[Task]`, -> the verdict that is expected instead of `holds`."""
    paper_model: str | None = None
    """The model of the paper whose published numbers apply."""
    conversation: str | None = None
    """Conversation template of the paper's input, which is then the default."""

    def names(self) -> Iterator[tuple[str, str]]:
        """Every name with the source that it stands for, the entry's own first."""
        source = self.source or self.name
        yield self.name, source
        if self.builder is not None:
            return
        for alias in self.aliases:
            yield alias, source
        # A folder is no name: it means whatever is in it.
        for hub_id in (source, self.original):
            if hub_id is not None and hub_id.count("/") == 1 and hub_id[0] not in "./~":
                yield hub_id, hub_id
                yield hub_id.partition("/")[2], source
