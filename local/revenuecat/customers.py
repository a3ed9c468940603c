"""The customers of a project. Each is generated from seed and id when it is requested."""

import hashlib
from collections.abc import Iterable, Iterator, MutableMapping

from local.revenuecat.catalogue import Customer
from local.revenuecat.drawing import draw_customer


class Customers(MutableMapping[str, Customer]):
    """A mapping from canonical ids to customers, in the order in which they were added.

    Of a thousand given ids, RevenueCat does not know 20, and knows 15 only as aliases of anonymous customers, which
    the list contains instead. Another 15 have an anonymous alias. Assignment replaces a generated record; deletion
    makes an id unknown.

    Times are relative to ``as_of_ms``; all other values are functions of seed and id.
    """

    def __init__(self, *, seed: int, ids: Iterable[str], as_of_ms: int):
        self._seed = seed
        self._as_of_ms = as_of_ms
        # Canonical id → the assigned record, or the id to generate it from.
        self._known: dict[str, Customer | str] = {}
        # The known ids as a list, because a list can be sliced safely while a test adds to it.
        self._order: list[str] = []
        self._canonical: dict[str, str] = {}
        for id in dict.fromkeys(ids):
            self._introduce(id)

    def resolve(self, id: str) -> str | None:
        """Return the canonical id of the customer with this id or alias, or None if it is unknown."""
        return id if id in self._known else self._canonical.get(id)

    def page(self, offset: int, limit: int) -> list[str]:
        return self._order[offset : offset + limit]

    def __getitem__(self, id: str) -> Customer:
        known = self._known[id]
        if isinstance(known, Customer):
            return known
        aliases = tuple(alias for alias in (known, self._anonymous(known)) if self._canonical.get(alias) == id)
        return draw_customer(seed=self._seed, id=known, as_of_ms=self._as_of_ms, aliases=aliases)

    def __setitem__(self, id: str, customer: Customer) -> None:
        if id in self._known:
            self._forget_aliases(id)
        self._canonical.pop(id, None)
        self._add(id, customer)
        self._canonical |= dict.fromkeys(customer.aliases, id)

    def __delitem__(self, id: str) -> None:
        del self._known[id]
        self._order.remove(id)
        self._forget_aliases(id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def _introduce(self, id: str) -> None:
        draw = int.from_bytes(self._digest(id)[:8]) % 1000
        if draw < 20:
            return
        anonymous = self._anonymous(id)
        if draw < 35:
            self._add(anonymous, id)
            self._canonical[id] = anonymous
            return
        self._add(id, id)
        if draw < 50:
            self._canonical[anonymous] = id

    def _add(self, id: str, known: Customer | str) -> None:
        if id not in self._known:
            self._order.append(id)
        self._known[id] = known

    def _forget_aliases(self, id: str) -> None:
        for alias in [alias for alias, canonical in self._canonical.items() if canonical == id]:
            del self._canonical[alias]

    def _anonymous(self, id: str) -> str:
        return f"$RCAnonymousID:{self._digest(id)[8:].hex()}"

    def _digest(self, id: str) -> bytes:
        return hashlib.blake2b(f"{self._seed}:{id}".encode(), digest_size=24).digest()
