"""The visitors of one process."""

from collections import OrderedDict, deque

from asgi_rota_sentry.forks import Locked
from asgi_rota_sentry.trail.breadcrumbs import LONGEST, METHODS, Item, Visit, bounded, kept
from asgi_rota_sentry.trail.hashing import Key

# So many requests are filed together: one at a time they would cost their own requests three times as much.
_MOST_UNFILED = 64


class Story:
    """What is remembered of one visitor: the latest requests, and whose they are once that is known."""

    __slots__ = ("owner", "visits")

    def __init__(self, length: int) -> None:
        self.visits: deque[Visit] = deque(maxlen=length)
        self.owner: str | None = None


class MemoryStore(Locked):
    """The stories of at most `visitors` visitors, `length` requests of each; the least recently seen goes first.

    10,000 visitors with 20 requests each, all to different paths and every fifth with two actions, take 100 MB.
    """

    def __init__(self, *, visitors: int, length: int) -> None:
        super().__init__()
        self._most = visitors
        self._length = length
        # One story may stand under several keys: a session cookie that is renewed is still sent by requests under way.
        self._stories: OrderedDict[Key, Story] = OrderedDict()
        # What was noted and is not filed yet: before anybody looks, it is.
        self._unfiled: deque[tuple[Key, Visit]] = deque()
        # Stands for a cookie that was given to more than one visitor, and so tells nobody apart: it keeps nothing.
        self._shared = Story(0)

    def read(self, key: Key) -> tuple[str | None, list[Item]]:
        """Whose story it is, and its requests, oldest first."""
        with self.lock:
            self._file()
            story = self._stories.get(key)
            return (story.owner, list(map(kept, story.visits))) if story is not None else (None, [])

    def note(self, key: Key, visit: Visit) -> None:
        """Add a request; one of another user begins a new story, for the browser has changed hands."""
        self._unfiled.append((key, visit))
        if len(self._unfiled) >= _MOST_UNFILED:
            with self.lock:
                self._file()

    def _file(self) -> None:
        """Put what was noted into the stories, in the order in which it was noted; with the lock held."""
        unfiled, stories = self._unfiled, self._stories
        while unfiled:  # by now: what the collector runs in between may have filed some
            key, visit = unfiled.popleft()
            story = stories.get(key)
            if story is None:
                story = stories[key] = Story(self._length)
            owner, _, method, path, root_path, _, actions = visit
            if story.owner != owner and owner:
                if story.owner is not None:
                    story.visits.clear()
                story.owner = owner
            # Nearly all are short, which is found without a call: every request pays for it. `kept` sees to the rest.
            is_short = method in METHODS and type(path) is str and len(path) <= LONGEST and not actions
            if root_path and is_short:
                is_short = type(root_path) is str and path.startswith(root_path)
            story.visits.append(visit if is_short else bounded(visit))
            stories.move_to_end(key)
        self._forget_oldest()

    def renew(self, old: Key | None, new: Key) -> None:
        """The same visitor goes on under a new session cookie."""
        with self.lock:
            self._file()
            story = before = self._stories.get(old) if old is not None else None
            if story is None or story is self._shared:
                story = Story(self._length)
            if before is None and old is not None:
                self._stories[old] = story  # which requests under way still come with, and may renew as well
            known = self._stories.get(new)
            # Signed cookies hold a time in seconds: two visitors may be given the very same one.
            self._stories[new] = story if known is None or known is story else self._shared
            self._stories.move_to_end(new)
            self._forget_oldest()

    def forget(self, key: Key) -> None:
        """The session is over, and with it the story."""
        with self.lock:
            self._file()
            story = self._stories.pop(key, None)
            if story is not None:
                story.visits.clear()

    def _forget_oldest(self) -> None:
        while len(self._stories) > self._most:
            self._stories.popitem(last=False)
