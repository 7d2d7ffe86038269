"""What is known of a flight at its scheduled departure: the weather until then, and the time by New York's clock."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes most of its functions when it is imported, where a type checker does not see them.

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

OBSERVED = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]

# An observation bears the full hour in which it was made, as a rule 51 minutes later: it is known when that hour is over.
KNOWN_AFTER_S = 3600
STALE_AFTER_S = 6 * 3600


def with_weather(flights: pa.Table, weather: pa.Table) -> pa.Table:
    """Adds `scheduled_at` (UTC) and the origin's newest weather that was known then; null where that is older than six hours."""
    at = flights["time_hour"].to_numpy() + flights["minute"].to_numpy().astype("timedelta64[m]")
    observed = weather.select(OBSERVED).combine_chunks().take(newest_known(flights["origin"], at, weather))
    flights = flights.append_column("scheduled_at", pa.array(at, pa.timestamp("us", "UTC")))
    for name in OBSERVED:
        flights = flights.append_column(name, observed[name])
    return flights


def newest_known(origin: pa.ChunkedArray, at: np.ndarray, weather: pa.Table) -> pa.Array:
    """For each origin and time the row of `weather` that was known last; null where there is none, or only a stale one."""
    origins = pc.unique(weather["origin"])
    known = place_and_time(weather["origin"], weather["time_hour"].to_numpy(), origins) + KNOWN_AFTER_S
    asked = place_and_time(origin, at, origins)
    order = np.argsort(known, kind="stable")
    last = np.searchsorted(known[order], asked, side="right") - 1
    # Where no earlier row is of the same origin, the age comes out as thousands of years.
    age_s = asked - known[order[last]] + KNOWN_AFTER_S
    return pa.array(order[last], mask=(last < 0) | (age_s > STALE_AFTER_S))


def place_and_time(origin: pa.ChunkedArray, at: np.ndarray, origins: pa.Array) -> np.ndarray:
    """One integer that sorts by origin, then by time in seconds; an origin that is not among `origins` comes before all."""
    place = pc.fill_null(pc.index_in(origin, value_set=origins), -1).to_numpy().astype(np.int64)
    return place * (1 << 40) + at.astype("datetime64[s]").astype(np.int64)


def add_departure_time(table: pa.Table) -> pa.Table:
    """Adds `departure_minute` (of the day), `departure_hour` and `day_of_week` (Monday is 0), all by New York's clock."""
    local = table["scheduled_at"].cast(pa.timestamp("us", "America/New_York"))
    table = table.append_column("departure_minute", minute_of_day(local))
    table = table.append_column("departure_hour", pc.hour(local))
    return table.append_column("day_of_week", pc.day_of_week(local))


def minute_of_day(local: pa.ChunkedArray) -> pa.ChunkedArray:
    """0 to 1439; an hour that a clock shows twice in autumn counts twice."""
    return pc.add(pc.multiply(pc.hour(local), 60), pc.minute(local))
