"""Ratios, taken side by side in one run: `pytest tests/benchmarks --benchmark-enable -s`.

Without `--benchmark-enable` each benchmark runs once and only checks that both sides still work.
"""

import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest


class Comparison:
    """Times two callables in interleaved rounds and holds their ratio against a bar."""

    def __init__(self, enabled: bool, report: Callable[[str], None]) -> None:
        self.enabled = enabled
        self.report = report

    def __call__(
        self,
        what: str,
        *,
        ours: Callable[[], Any],
        peer: Callable[[], Any],
        bar: float,
        rounds: int = 9,
        per: int = 1,
        unit: str = "",
    ) -> float | None:
        """Median(ours) / median(peer); fails over `bar`. `per` divides the printed times."""
        if not self.enabled:
            ours()
            peer()
            return None
        ours(), peer()  # warm: bytecode, page cache, lazy imports
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for side, call in zip(times, (ours, peer), strict=True):
                gc.collect()
                started = time.perf_counter()
                call()
                side.append(time.perf_counter() - started)
        mine, theirs = (statistics.median(side) for side in times)
        ratio = mine / theirs
        label = f" per {unit}" if unit else ""
        self.report(
            f"{what}: {mine / per * 1e6:.1f} us against {theirs / per * 1e6:.1f} us{label},"
            f" ratio {ratio:.3f} (bar {bar:g})"
        )
        assert ratio <= bar, f"{what}: ratio {ratio:.3f} is over the bar {bar:g}"
        return ratio

    def absolute(
        self, what: str, call: Callable[[], Any], *, bar_us: float, per: int = 1, rounds: int = 9
    ) -> float | None:
        """Median time of `call` divided by `per`, in microseconds; fails over `bar_us`."""
        if not self.enabled:
            call()
            return None
        call()
        times = []
        for _ in range(rounds):
            gc.collect()
            started = time.perf_counter()
            call()
            times.append(time.perf_counter() - started)
        measured = statistics.median(times) / per * 1e6
        self.report(f"{what}: {measured:.2f} us (bar {bar_us:g})")
        assert measured <= bar_us, f"{what}: {measured:.2f} us is over the bar {bar_us:g}"
        return measured

    def difference(
        self,
        what: str,
        *,
        ours: Callable[[], float],
        peer: Callable[[], float],
        bar_us: float,
        rounds: int,
    ) -> float | None:
        """Median(ours) - median(peer), in microseconds; each says how many seconds it took."""
        if not self.enabled:
            ours()
            peer()
            return None
        ours(), peer()
        pairs = [(ours(), peer()) for _ in range(rounds)]
        mine, theirs = (statistics.median(side) * 1e6 for side in zip(*pairs, strict=True))
        self.report(
            f"{what}: {mine:.0f} us against {theirs:.0f} us,"
            f" difference {mine - theirs:.0f} us (bar {bar_us:g})"
        )
        assert mine - theirs <= bar_us, f"{what}: {mine - theirs:.0f} us is over {bar_us:g}"
        return mine - theirs


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Comparison:
    """Compare us with a peer; see `Comparison`."""
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")

    def report(line: str) -> None:
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line("  " + line)

    enabled = bool(request.config.getoption("benchmark_enable", default=False))
    return Comparison(enabled, report)
