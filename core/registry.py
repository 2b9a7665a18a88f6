"""Registries by name that other packages extend through entry points.

Third parties add an entry to one of the groups `faultgym.modes`, `faultgym.fault_kinds`, `faultgym.metrics`,
`faultgym.policies`, `faultgym.suites`, `faultgym.text_formats`, `faultgym.data_filters`, `faultgym.dialects`,
`faultgym.exports`; the name of the entry point is the name of the entry, its value `module:attribute` is the entry
itself. Nothing is imported before somebody asks for a name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from threading import get_ident
from types import MappingProxyType
from typing import Generic, TypeVar

from faultgym.core.errors import UserError
from faultgym.core.suggest import did_you_mean

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """The entries of one noun, by name: built in, registered in code, or found by entry point.

    Args:
        noun: What an entry is, for messages: `fault kind`, `failure mode`.
        group: The entry-point group that third parties add to.
        builtin: Modules that register the built-in entries when they are imported, in the order of the catalogue.
        check: The conformance check; called with the name and the entry before a foreign entry is taken. Raises
            `UserError` that says what is wrong and where.
        error: The class of the errors raised.
        listing: What the message about an unknown name says when no name is near: how to list them; by default, all
            names.
        lazy: Built-in entries that are imported one by one, when they are asked for: name -> `module:attribute`.

    Example:
        >>> formats = Registry("text format", "faultgym.text_formats")
        >>> formats.register("plain", str.strip)
        >>> formats["plain"](" a ")
        'a'
    """

    def __init__(
        self,
        noun: str,
        group: str,
        builtin: tuple[str, ...] = (),
        check: Callable[[str, T], None] | None = None,
        error: type[UserError] = UserError,
        listing: str = "",
        lazy: Mapping[str, str] | None = None,
    ):
        self.noun = noun
        self.group = group
        self._builtin = builtin
        self._check = check
        self._error = error
        self._listing = listing
        self._own: dict[str, T] = {}
        self._entries: dict[str, T] = {}
        self._points = {n: EntryPoint(name=n, value=v, group=group) for n, v in (lazy or {}).items()}
        self._ready = False
        self._loading: set[int] = set()
        """Threads that are importing the built-in modules."""

    def add(self, name: str, entry: T) -> T:
        """Take a built-in entry, unchecked: the project's own tests check those.

        Args:
            name: The name of the entry.
            entry: The entry; adding the same object again does nothing.

        Returns:
            The entry.

        Raises:
            UserError: The name is taken by another entry.
        """
        if self._entries.get(name, entry) is not entry:
            raise self._error(f"there is a {self.noun} named {name!r} already; choose another name")
        self._entries[name] = self._own[name] = entry
        return entry

    @property
    def own(self) -> Mapping[str, T]:
        """The built-in entries alone, without those of installed packages: what a seed draws from."""
        self._load()
        return MappingProxyType(self._own)

    def register(self, name: str, entry: T, *, replace: bool = False) -> None:
        """Take a foreign entry, after the conformance check.

        Args:
            name: The name of the entry.
            entry: The entry.
            replace: Whether the entry may take the name of another one.

        Raises:
            UserError: The entry does not conform, or the name is taken and `replace` is false.
        """
        self._load()
        if name in self and not replace and self._entries.get(name) is not entry:
            raise self._error(f"there is a {self.noun} named {name!r} already; choose another name")
        if self._check is not None:
            self._check(name, entry)
        self._entries[name] = entry

    @contextmanager
    def holding(self, name: str, entry: T) -> Iterator[None]:
        """Within the context an entry has the name, unchecked; what had the name before returns afterwards.

        Args:
            name: The name of the entry.
            entry: The entry.
        """
        self._load()
        before = self._entries.get(name)
        self._entries[name] = entry
        try:
            yield
        finally:
            if before is None:
                self._entries.pop(name, None)
            else:
                self._entries[name] = before

    def held(self, name: str) -> T | None:
        """The entry of that name if it has been imported, else None; imports nothing."""
        return self._entries.get(name)

    def unregister(self, name: str) -> None:
        """Forget what was registered under a name; a built-in or installed entry that it replaced returns."""
        self._load()
        self._entries.pop(name, None)
        if name in self._own:
            self._entries[name] = self._own[name]

    def __getitem__(self, name: str) -> T:
        """The entry of that name; raises KeyError. `named` raises what a person can read."""
        self._load()
        if name in self._entries:
            return self._entries[name]
        if name in self._points:
            return self._from_point(name)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        self._load()
        yield from self._entries
        yield from [name for name in self._points if name not in self._entries]

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def named(self, name: str) -> T:
        """The entry of that name; imported first where that has not happened.

        Args:
            name: The name of the entry.

        Raises:
            UserError: No entry has that name (the message gives the nearest ones), or the one that an entry point names
                cannot be imported or does not conform.
        """
        try:
            return self[name]
        except KeyError:
            hint = did_you_mean(name, self, 3) or self._listing or f"the {self.noun}s are {', '.join(self)}"
            raise self._error(f"there is no {self.noun} {name!r}; {hint}") from None

    def _load(self) -> None:
        """Have the built-in modules imported. Threads that come at one time all import, and so wait for each other."""
        thread = get_ident()
        if self._ready or thread in self._loading:  # the modules register while they are imported
            return
        self._loading.add(thread)
        try:
            for module in self._builtin:
                import_module(module)
            for point in sorted(entry_points(group=self.group), key=lambda p: (p.name, p.value)):
                if point.name not in self._entries:
                    self._points.setdefault(point.name, point)
        finally:
            self._loading.discard(thread)
        self._ready = True

    def _from_point(self, name: str) -> T:
        point = self._points[name]
        where = f"{self.noun} {name!r} ({self.group}: {point.value})"
        try:
            entry: T = point.load()
        except Exception as error:
            raise self._error(f"{where} cannot be imported: {type(error).__name__}: {error}") from error
        if self._check is not None:
            self._check(name, entry)
        self._entries[name] = entry
        return entry
