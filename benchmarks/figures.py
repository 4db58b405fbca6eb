"""How figures are printed: median with minimum and maximum, and ratios round by round."""

import statistics
from collections.abc import Mapping, Sequence


def spread(values: Sequence[float], unit: str = "") -> str:
    """`median (minimum..maximum)`."""
    low, middle, high = map(digits, (min(values), statistics.median(values), max(values)))
    return f"{middle}{unit} ({low}..{high})"


def digits(value: float) -> str:
    """Three digits, more only where a number is larger."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def ratios(values: Sequence[float], base: Sequence[float]) -> str:
    """The spread of value / base, pair by pair: what holds when the machine's speed drifts."""
    return spread([a / b for a, b in zip(values, base, strict=True)], "x")


def table(rows: Mapping[str, Sequence[float]], *, base: str, unit: str) -> None:
    """One line a row: its figures, and how many times the base row it takes."""
    width = max(map(len, rows))
    for name, values in rows.items():
        print(f"{name:<{width}}  {spread(values, ' ' + unit):<34}  {ratios(values, rows[base])} of {base}")
