"""Find the metrics of a command in what it writes."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import re2

MAX_LINE_BYTES = 65_536
"""A longer line is looked at in pieces."""
ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
"""Colours and the like: control sequences of terminals."""
STEP = "step"

Found = dict[str, str]
"""The texts that the expressions have found in one line, by metric."""


@dataclass
class _Stream:
    """One of the outputs. `last` is what was found in the line so far, if it is written anew after returns."""

    rest: bytes = b""
    last: tuple[str | None, Found] | None = None


@dataclass
class OutputScanner:
    """Looks for metrics in each line of the standard output and of the standard error, which are apart.

    A line is what ends with a newline or a carriage return. Of a line that is written anew after carriage returns, as
    by a progress bar, equal values count once. `found` is called with the text of the step, or None, and the texts of
    the metrics.

    One expression that stands for all of them is looked for in everything at once, so that lines without metrics cost
    next to nothing.
    """

    metrics: Mapping[str, str]
    step: str | None
    found: Callable[[str | None, Found], None]
    _streams: dict[int, _Stream] = field(default_factory=dict)

    def __post_init__(self) -> None:
        options = _options()
        self._patterns = {name: re2.compile(text, options) for name, text in self.metrics.items()}
        self._step = None if self.step is None else re2.compile(self.step, options)
        texts = [*self.metrics.values(), *([] if self.step is None else [self.step])]
        self._any = _any_of(texts)

    def feed(self, stream: int, piece: bytes) -> None:
        """Look at a piece of an output. A line at its end that is not complete is kept until the rest comes."""
        if self._any is None:
            return
        state = self._streams.setdefault(stream, _Stream())
        written = state.rest + piece
        end = max(written.rfind(b"\n"), written.rfind(b"\r")) + 1
        if len(written) - end > MAX_LINE_BYTES:
            end = len(written)
        state.rest = written[end:]
        if end:
            self._scan(state, written[:end])

    def finish(self) -> None:
        """Look at last lines that have no end."""
        for state in self._streams.values():
            if state.rest:
                self._scan(state, state.rest)
                state.rest = b""

    def _scan(self, state: _Stream, written: bytes) -> None:
        if b"\x1b" in written:
            written = ESCAPES.sub(b"", written)
        looked_at = 0
        for start, end in self._matching_lines(written.replace(b"\r", b"\n")):
            if b"\n" in written[looked_at:start]:
                state.last = None
            found = self._look(written[start:end].decode(errors="replace"))
            if found != state.last and (found[0] is not None or found[1]):
                self.found(*found)
            is_written_anew = written[end : end + 1] == b"\r" and written[end + 1 : end + 2] != b"\n"
            state.last = found if is_written_anew else None
            looked_at = end + 1
        if b"\n" in written[looked_at:]:
            state.last = None

    def _matching_lines(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Where the lines begin and end that may have a metric or a step."""
        assert self._any is not None, "there is an expression"
        start = 0
        while start < len(text) and (match := self._any.search(text, start)) is not None:
            begin = text.rfind(b"\n", 0, match.start()) + 1
            end = text.find(b"\n", match.start())
            end = len(text) if end < 0 else end
            yield max(begin, start), end
            start = end + 1

    def _look(self, line: str) -> tuple[str | None, Found]:
        texts = {}
        for name, pattern in self._patterns.items():
            if (match := pattern.search(line)) is not None and match.group("value") is not None:
                texts[name] = match.group("value")
        step = None if self._step is None else self._step.search(line)
        return None if step is None else step.group(STEP), texts


def _options(*, never_capture: bool = False) -> "re2.Options":
    options = re2.Options()
    options.log_errors = False
    options.never_capture = never_capture
    return options


def _any_of(texts: list[str]) -> "re2._Regexp | None":
    """One expression that matches in every line in which one of the texts does; None without texts."""
    if not texts:
        return None
    if any(anchor in text for text in texts for anchor in (r"\A", r"\z")):  # they would mean all that is looked at
        return re2.compile(b"")
    try:
        return re2.compile("|".join(f"(?m:{text})" for text in texts).encode(), _options(never_capture=True))
    except re2.error:  # together they are too large
        return re2.compile(b"")
