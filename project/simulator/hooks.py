"""Webhooks: what happens is signed and sent to whoever registered, by a few threads, and what became of it is kept."""

import hashlib
import hmac
import queue
import random
import threading
import time
import uuid
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import requests

from project.simulator.clock import iso
from project.simulator.draws import digest
from project.simulator.gate import Simulator, to_json
from project.simulator.happenings import Happening, Happenings

TICK = 0.1  # real seconds between looks at the clock
SENDERS = 8
TIMEOUT = 10.0  # seconds; GitHub waits as long
KEPT = 20_000  # deliveries
FIRST_HOOK_ID = 480_000_001
FAULTS = (
    "lose",  # not sent; listed as failed, so it can be redelivered
    "vanish",  # not sent and never listed
    "repeat",  # sent twice
    "reorder",  # sent a moment later than others that happened after it
    "delay",  # sent `seconds` late
)


@dataclass
class Hook:
    id: int
    url: str
    secret: str
    events: frozenset[str]
    created: float
    active: bool = True

    def wants(self, event: str) -> bool:
        return self.active and ("*" in self.events or event in self.events or event == "ping")


@dataclass
class Sent:
    """One delivery, or the try of one."""

    id: int
    hook: Hook
    guid: str
    event: str
    action: str
    body: bytes  # compressed
    redelivery: bool = False
    at: float = 0.0  # real time
    seconds: float = 0.0
    status_code: int = 0
    status: str = "pending"


@dataclass
class Shares:
    """What share of deliveries meets which trouble."""

    shares: dict[str, float] = field(default_factory=dict)
    seconds: float = 5.0
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    def meets(self, fault: str) -> bool:
        return self.chance.random() < self.shares.get(fault, 0.0)


def signature(secret: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Hooks:
    """All hooks of the one repository. Nothing runs until there is one."""

    def __init__(self, simulator: Simulator) -> None:
        self.world = world = simulator.world
        self.hooks: dict[int, Hook] = {}
        self.sent: OrderedDict[int, Sent] = OrderedDict()
        self.shares = Shares()
        self.base = ""
        self._happenings = Happenings(world)
        self._queue: queue.Queue[Sent] = queue.Queue(maxsize=50_000)
        self._lock = threading.Lock()
        self._next = 0
        self._until = 0.0
        self._threads: list[threading.Thread] = []
        self._ended = threading.Event()
        simulator.on_write(self._told)

    def add(self, url: str, secret: str, events: frozenset[str], base: str) -> Hook:
        """Register a hook; it gets a ping at once and then whatever happens."""
        number = max(self.hooks, default=FIRST_HOOK_ID - 1) + 1
        hook = self.hooks[number] = Hook(number, url, secret, events, self.world.now())
        self.base = base
        self.send(hook, Happening(0, "ping", "", (number, time.time()), {
            "zen": "Keep it logically awesome.", "hook_id": number, "hook": as_json(self, hook, base),
        }))  # fmt: skip
        self._start()
        return hook

    def stop(self) -> None:
        self._ended.set()

    def idle(self) -> bool:
        """Whether everything that has happened has been sent."""
        return self._queue.unfinished_tasks == 0 and self._until >= self.world.now() - 0.5

    # -- sending --------------------------------------------------------------------------------------------

    def send(self, hook: Hook, happening: Happening) -> None:
        body = to_json(happening.payload, self.world, self.base)
        if self.shares.meets("vanish") and happening.event != "ping":
            return
        copies = 2 if self.shares.meets("repeat") else 1
        for _ in range(copies):
            self._queue.put(self._note(hook, happening.guid, happening.event, happening.action, zlib.compress(body, 1)))

    def again(self, sent: Sent) -> None:
        """Send it again, as GitHub does: another delivery with the same GUID."""
        self._queue.put(self._note(sent.hook, sent.guid, sent.event, sent.action, sent.body, redelivery=True))

    def _told(self, event: str, payload: dict[str, Any]) -> None:
        """A request has made something happen."""
        happening = Happening(self.world.now(), event, str(payload.get("action") or ""), (uuid.uuid4(),), payload)
        for hook in list(self.hooks.values()):
            if hook.wants(event):
                self.send(hook, happening)

    def _note(self, hook: Hook, guid: str, event: str, action: str, body: bytes, *, redelivery: bool = False) -> Sent:
        with self._lock:
            self._next += 1
            sent = Sent(12_000_000_000 + self._next, hook, guid, event, action, body, redelivery, time.time())
            self.sent[sent.id] = sent
            while len(self.sent) > KEPT:
                self.sent.popitem(last=False)
        return sent

    def _start(self) -> None:
        if self._threads:
            return
        self._until = self.world.now()
        self._threads = [threading.Thread(target=self._watch, name="hooks", daemon=True)]
        self._threads += [threading.Thread(target=self._deliver, name=f"hook-{n}", daemon=True) for n in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(TICK):
            now = self.world.now()
            since, self._until = self._until, now
            if now <= since:
                continue
            with self.world.lock:  # a request may be changing it
                found = self._happenings.between(since, now, self.base)
            if self.shares.shares.get("reorder"):
                late = [one for one in found if self.shares.meets("reorder")]
                found = [one for one in found if one not in late] + late[::-1]
            for happening in found:
                for hook in list(self.hooks.values()):
                    if hook.wants(happening.event):
                        self.send(hook, happening)

    def _deliver(self) -> None:
        session = requests.Session()
        session.trust_env = False
        while not self._ended.is_set():
            try:
                sent = self._queue.get(timeout=0.5)
            except queue.Empty:
                continue
            try:
                self._post(session, sent)
            finally:
                self._queue.task_done()

    def _post(self, session: requests.Session, sent: Sent) -> None:
        trouble = not sent.redelivery and sent.event != "ping"
        if trouble and self.shares.meets("lose"):
            sent.status, sent.status_code = "failed to connect to host", 502
            return
        if trouble and self.shares.meets("delay"):
            self._ended.wait(self.shares.seconds)
        body = zlib.decompress(sent.body)
        began = time.monotonic()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"GitHub-Hookshot/{digest('hookshot', 1).hex()[:7]}",
            "Accept": "*/*",
            "X-GitHub-Event": sent.event,
            "X-GitHub-Delivery": sent.guid,
            "X-GitHub-Hook-ID": str(sent.hook.id),
            "X-GitHub-Hook-Installation-Target-ID": str(self.world.id),
            "X-GitHub-Hook-Installation-Target-Type": "repository",
        }
        if sent.hook.secret:
            headers["X-Hub-Signature-256"] = signature(sent.hook.secret, body)
        try:
            answer = session.post(sent.hook.url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False)
            sent.status_code = answer.status_code
            sent.status = "OK" if answer.ok else f"Invalid HTTP Response: {answer.status_code}"
        except requests.Timeout:
            sent.status, sent.status_code = "timed out", 504
        except requests.RequestException:
            sent.status, sent.status_code = "failed to connect to host", 502
        sent.seconds = time.monotonic() - began


def as_json(hooks: Hooks, hook: Hook, base: str) -> dict[str, Any]:
    """A hook as GitHub shows it; never its secret."""
    url = f"{base}/repos/{hooks.world.full_name}/hooks/{hook.id}"
    return {
        "type": "Repository", "id": hook.id, "name": "web", "active": hook.active, "events": sorted(hook.events),
        "config": {"url": hook.url, "content_type": "json", "insecure_ssl": "0"}
        | ({"secret": "********"} if hook.secret else {}),
        "updated_at": iso(hook.created), "created_at": iso(hook.created), "url": url, "test_url": f"{url}/test",
        "ping_url": f"{url}/pings", "deliveries_url": f"{url}/deliveries",
        "last_response": {"code": None, "status": "unused", "message": None},
    }  # fmt: skip


def delivery_json(sent: Sent, repository_id: int) -> dict[str, Any]:
    return {
        "id": sent.id, "guid": sent.guid, "delivered_at": iso(sent.at), "redelivery": sent.redelivery,
        "duration": round(sent.seconds, 3), "status": sent.status, "status_code": sent.status_code,
        "event": sent.event, "action": sent.action or None, "installation_id": None,
        "repository_id": repository_id, "throttled_at": None,
    }  # fmt: skip
