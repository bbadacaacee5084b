"""The rota that both examples serve: who works there, and the shifts that a new rota starts with."""

from dataclasses import dataclass, field

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Person:
    """Somebody who works here; `role` is the job, `preferences` what the person chose in the application."""

    id: str
    username: str
    email: str
    role: str
    preferences: dict[str, str]


PEOPLE = {
    "manager": Person(
        id="SCW1001",
        username="scw1001",
        email="scw1001@example.com",
        role="Manager",
        preferences={"theme": "dark", "language": "en", "timezone": "Europe/London"},
    ),
    "staff": Person(
        id="SCW1002",
        username="scw1002",
        email="scw1002@example.com",
        role="Staff",
        preferences={"theme": "light", "language": "en", "timezone": "Europe/Dublin"},
    ),
}
"""Who may sign in, under the name that `/login/?as=` takes."""


@dataclass(frozen=True)
class Shift:
    """One person's hours on one day of the week."""

    id: int
    day: str
    hours: int
    worker: str


FIRST_SHIFTS = (
    Shift(1, "Monday", 8, "scw1001"),
    Shift(2, "Tuesday", 6, "scw1002"),
    Shift(3, "Thursday", 8, "scw1002"),
    Shift(4, "Saturday", 4, "scw1001"),
)


@dataclass
class Rota:
    """Shifts in memory, for the example that has no database; gone when the process ends."""

    shifts: dict[int, Shift] = field(default_factory=lambda: {shift.id: shift for shift in FIRST_SHIFTS})

    def add(self, day: str, hours: int, worker: str) -> Shift:
        """A new shift, with the next free number."""
        shift = Shift(max(self.shifts, default=0) + 1, day, hours, worker)
        self.shifts[shift.id] = shift
        return shift

    def search(self, words: str) -> list[Shift]:
        """The shifts whose day or worker contains the words, in any case; none for no words."""
        wanted = words.strip().lower()
        return [shift for shift in self.shifts.values() if wanted and wanted in f"{shift.day} {shift.worker}".lower()]


def waiting_time(text: str) -> float:
    """How many seconds `/slow/` waits: what the query says, from 0 to 10; 0 for what is no number."""
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return min(max(0.0, seconds), 10.0)  # in this order `nan` becomes 0 as well
