"""Which way a reference solution goes where there are several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


class Choices:
    """What one run of a reference solution decides where it has a choice: first as given, then the shortest way.

    Args:
        given: Which option to take at each choice, in the order in which the run meets them.
        hopeless: Whether the goal cannot be reached, so that an honest report is the way to end.

    Example:
        >>> choices = Choices((1,))
        >>> choices.take(3), choices.take(2), list(choices.others())
        (1, 0, [(1, 1)])
    """

    def __init__(self, given: Sequence[int] = (), *, hopeless: bool = False):
        self.given = tuple(given)
        self.hopeless = hopeless
        self._taken: list[int] = []
        self._options: list[int] = []

    def take(self, options: int) -> int:
        """Decide.

        Args:
            options: How many ways there are; 0 is the shortest, the last one the most careful.
        """
        number = len(self._taken)
        taken = self.given[number] if number < len(self.given) else 0
        self._taken.append(taken)
        self._options.append(options)
        return taken

    def others(self) -> Iterator[tuple[int, ...]]:
        """The ways that leave this one, each at one of the choices beyond those that were given.

        Yields:
            What to give to another run. Together with theirs, these are all ways, each once.
        """
        for number in range(len(self.given), len(self._taken)):
            for option in range(1, self._options[number]):
                yield (*self._taken[:number], option)
