"""Pool and collections under threads that change places all the time."""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import CancelledError

import pytest

from aether import AdaptiveThreadPool, ThreadSafeDict, ThreadSafeList, ThreadSafeSet, atomic

ROUNDS = 20 if os.environ.get("AETHER_STRESS") else 1

pytestmark = pytest.mark.usefixtures("rapid_switching")


@pytest.mark.parametrize("seed", range(3 * ROUNDS))
def test_no_task_is_lost_or_run_twice(seed):
    ran = ThreadSafeList()
    with AdaptiveThreadPool(max_workers=8, monitor_interval=0.1) as pool:

        def submit(who):
            chance = random.Random(seed * 100 + who)
            mine = []
            for number in range(300):
                task = who * 1000 + number
                pause = chance.choice([0, 0, 0, 0.0005])
                mine.append((task, pool.submit(lambda task=task, pause=pause: (time.sleep(pause), ran.append(task)))))
                if chance.random() < 0.1:
                    mine[chance.randrange(len(mine))][1].cancel()
            kept.extend(mine)

        kept = ThreadSafeList()
        submitters = [threading.Thread(target=submit, args=(who,)) for who in range(4)]
        for submitter in submitters:
            submitter.start()
        for submitter in submitters:
            submitter.join()
    expected = sorted(task for task, future in kept if not future.cancelled())
    assert sorted(ran) == expected and len(kept) == 1200
    assert all(future.done() for _, future in kept)
    assert pool.get_metrics().completed_tasks == len(expected)


@pytest.mark.parametrize("seed", range(5 * ROUNDS))
def test_shutdown_in_the_middle_accounts_for_every_task(seed):
    chance = random.Random(seed)
    pool = AdaptiveThreadPool(max_workers=6, monitor_interval=0.1)
    futures, ran = ThreadSafeList(), ThreadSafeSet()

    def submit(who):
        for number in range(200):
            task = (who, number)
            try:
                futures.append((task, pool.submit(lambda task=task: ran.add(task))))
            except RuntimeError:
                return

    submitters = [threading.Thread(target=submit, args=(who,)) for who in range(3)]
    for submitter in submitters:
        submitter.start()
    time.sleep(chance.random() * 0.02)
    pool.shutdown(wait=bool(seed % 2), cancel_futures=seed % 3 == 0)
    for submitter in submitters:
        submitter.join()
    pool.shutdown()
    outcomes = {}
    for task, future in futures:
        try:
            future.result(timeout=60)
            outcomes[task] = True
        except CancelledError:
            outcomes[task] = False
    assert {task for task, done in outcomes.items() if done} == ran.snapshot()
    assert not [thread for thread in pool._threads if thread.is_alive()]


def test_many_pools_come_and_go():
    before = threading.active_count()
    for number in range(60 * ROUNDS):
        pool = AdaptiveThreadPool(max_workers=4)
        futures = [pool.submit(pow, number, 2) for _ in range(5)]
        if number % 3 == 0:
            pool.shutdown(wait=False)
        elif number % 3 == 1:
            with pool:
                pass
        del pool
        assert [future.result(timeout=60) for future in futures] == [number**2] * 5
    for _ in range(600):
        if threading.active_count() <= before:
            break
        time.sleep(0.05)
    assert threading.active_count() <= before, threading.enumerate()


def test_nested_tasks_do_not_stand_still():
    with AdaptiveThreadPool(max_workers=16, monitor_interval=0.1) as pool:

        def tree(depth):
            if depth == 0:
                return 1
            return sum(future.result(timeout=120) for future in [pool.submit(tree, depth - 1) for _ in range(2)])

        assert pool.submit(tree, 3).result(timeout=120) == 8


def test_collections_and_atomic_together():
    books, log, seen = ThreadSafeDict(), ThreadSafeList(), ThreadSafeSet()

    class Account:
        def __init__(self):
            self.balance = 0
            self.moves = 0

        @atomic
        def add(self, amount):
            balance = self.balance
            self.moves += 1
            self.balance = balance + amount

        @atomic
        def swap(self, amount):
            self.add(amount)
            self.add(-amount)

    def task(number):
        account = books.get_or_create(number % 5, Account)
        account.add(1)
        account.swap(number)
        books.increment("tasks")
        if seen.add_if_absent(number % 17):
            log.append(number % 17)
        log.remove_if(lambda item: item < 0)

    with AdaptiveThreadPool(max_workers=8) as pool:
        list(pool.map(task, range(1500)))
    accounts = [books[key] for key in range(5)]
    assert [account.balance for account in accounts] == [300] * 5
    assert [account.moves for account in accounts] == [900] * 5
    assert books["tasks"] == 1500 and sorted(log) == list(range(17))
