"""The collections behave as the built-in ones do, and lose nothing under threads."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import MutableMapping, MutableSequence, MutableSet

import pytest

from aether import ThreadSafeDict, ThreadSafeList, ThreadSafeSet
from test_atomic import race


def test_they_are_what_they_claim():
    assert isinstance(ThreadSafeDict(), MutableMapping)
    assert isinstance(ThreadSafeList(), MutableSequence)
    assert isinstance(ThreadSafeSet(), MutableSet)


@pytest.mark.parametrize(
    ("ours", "plain"),
    [(ThreadSafeDict(a=1), {"a": 1}), (ThreadSafeList([1, 2]), [1, 2]), (ThreadSafeSet({1, 2}), {1, 2})],
    ids=["dict", "list", "set"],
)
def test_equality_copies_and_pickles(ours, plain):
    assert ours == plain and plain == ours and not ours != plain
    assert ours == type(ours)(plain) and ours != type(ours)()
    for twin in (copy.copy(ours), copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), ours.copy()):
        assert type(twin) is type(ours) and twin == ours and twin is not ours
    assert repr(plain) in repr(ours)
    with pytest.raises(TypeError):
        hash(ours)


def test_a_dict_does_what_a_dict_does():
    ours = ThreadSafeDict([("a", 1)], b=2)
    ours["c"] = 3
    ours |= {"d": 4}
    assert list(ours) == ["a", "b", "c", "d"] and list(reversed(ours)) == ["d", "c", "b", "a"]
    assert list(ours.items())[0] == ("a", 1) and ours.keys() & {"a", "z"} == {"a"} and 4 in ours.values()
    assert ours.setdefault("a", 9) == 1 and ours.setdefault("e") is None and ours.get("z", 7) == 7
    assert ours.pop("e", 0) is None and ours.pop("e", 0) == 0 and ours.popitem() == ("d", 4)
    del ours["c"]
    assert dict(ours) == {"a": 1, "b": 2} and {**ours} == dict(ours)
    assert ours | {"b": 5} == {"a": 1, "b": 5} and {"b": 5} | ours == {"b": 2, "a": 1}
    assert ThreadSafeDict.fromkeys("ab", 0) == {"a": 0, "b": 0}
    ours.update(ThreadSafeDict(x=1), y=2)
    assert len(ours) == 4 and "x" in ours and "z" not in ours
    for missing in (lambda: ours["z"], lambda: ours.pop("z"), lambda: ours.__delitem__("z")):
        with pytest.raises(KeyError):
            missing()
    ours.clear()
    assert not ours
    with pytest.raises(KeyError):
        ours.popitem()

    class Default(ThreadSafeDict):
        def __missing__(self, key):
            return self.setdefault(key, [])

    default = Default()
    default["a"].append(1)
    assert default == {"a": [1]}


def test_compound_operations_of_a_dict():
    ours = ThreadSafeDict()
    assert ours.increment("a") == 1 and ours.increment("a", 4) == 5 and ours.increment("b", 1, start=10) == 11
    assert ours.get_or_create("c", list) == [] and ours.get_or_create("c", lambda: pytest.fail()) == []
    assert ours.compute("a", lambda value: value * 2) == 10 and ours.compute("n", lambda value: value, 3) == 3
    assert ours.compute_if_present("zz", len) is None and "zz" not in ours
    assert ours.compute_if_present("a", lambda value: value + 1) == 11
    assert ours.pop_if("a", lambda value: value < 0) is None and ours.pop_if("a", lambda value: value > 0) == 11
    assert ours.pop_if("a", bool, "gone") == "gone"
    assert ours.replace("b", 11, 12) and not ours.replace("b", 11, 13) and not ours.replace("zz", None, 1)
    with pytest.raises(ZeroDivisionError):
        ours.compute("b", lambda value: 1 // 0)
    assert ours["b"] == 12
    with ours.locked() as held:
        held["b"] = held["b"] + 1
    assert ours.snapshot() == {"b": 13, "c": [], "n": 3}


def test_a_list_does_what_a_list_does():
    ours = ThreadSafeList([3, 1, 2])
    ours.sort()
    ours.append(4)
    ours += [5]
    ours.insert(0, 0)
    assert ours == [0, 1, 2, 3, 4, 5] and ours[1:3] == [1, 2] and ours[-1] == 5 and list(reversed(ours))[0] == 5
    ours[0] = 9
    ours[1:3] = ThreadSafeList([7])
    del ours[-1]
    assert ours == [9, 7, 3, 4] and ours.index(3) == 2 and ours.count(7) == 1 and 4 in ours
    ours.reverse()
    assert ours.pop() == 9 and ours.pop(0) == 4
    ours.remove(3)
    ours.extend(number for number in ours)
    assert ours == [7, 7] and ours + [1] == [7, 7, 1] and [1] + ours == [1, 7, 7] and ours * 2 == [7] * 4
    ours *= 2
    assert len(ours) == 4 and ours < [8] and ours <= ours.copy() and ours > [7] and ours >= [7]
    for mistake, error in ((lambda: ours[99], IndexError), (lambda: ours.remove(0), ValueError)):
        with pytest.raises(error):
            mistake()
    ours.sort(key=lambda value: -value, reverse=True)
    with pytest.raises(TypeError):
        ours + (1,)


def test_compound_operations_of_a_list():
    ours = ThreadSafeList([1, 2, 3, 4])
    assert ours.compute(0, lambda value: value * 10) == 10 and ours.increment(1) == 3 and ours == [10, 3, 3, 4]
    assert ours.append_if_absent(5) and not ours.append_if_absent(5)
    assert ours.pop_if(lambda value: value == 3) == 3 and ours.pop_if(lambda value: value == 99, "none") == "none"
    assert ours.remove_if(lambda value: value >= 5) == 2 and ours == [3, 4]
    assert ours.drain() == [3, 4] and not ours
    with ours.locked():
        ours.append(1)
        assert ours[0] == 1


def test_a_set_does_what_a_set_does():
    ours = ThreadSafeSet([1, 2, 3])
    ours.add(4)
    ours.discard(9)
    ours.remove(1)
    assert ours == {2, 3, 4} and len(ours) == 3 and 2 in ours and sorted(ours) == [2, 3, 4]
    assert ours | {9} == {2, 3, 4, 9} and {9} | ours == {2, 3, 4, 9} and ours & {2} == {2} and ours - {2} == {3, 4}
    assert {2, 9} - ours == {9} and ours ^ {2, 9} == {3, 4, 9} and isinstance(ours | {1}, ThreadSafeSet)
    assert ours.union([7], (8,)) == {2, 3, 4, 7, 8} and ours.intersection([2], {2, 3}) == {2}
    assert ours.difference([2]) == {3, 4} and ours.symmetric_difference([2]) == {3, 4}
    assert ours.issubset(range(9)) and ours.issuperset([2]) and ours.isdisjoint([9])
    assert ours <= {2, 3, 4} and ours < {2, 3, 4, 5} and ours >= {2} and ours > ThreadSafeSet({2})
    ours.update([5], [6])
    ours.difference_update([5])
    ours.intersection_update([2, 3, 6, 7])
    ours.symmetric_difference_update([2, 8])
    assert ours == {3, 6, 8}
    ours |= {1}
    ours &= {1, 3}
    ours -= {3}
    ours ^= {2}
    assert ours == {1, 2} and ours.pop() in (1, 2)
    with pytest.raises(KeyError):
        ours.remove(99)
    with pytest.raises(TypeError):
        ours | [1]
    ours.clear()
    with pytest.raises(KeyError):
        ours.pop()


def test_compound_operations_of_a_set():
    ours = ThreadSafeSet([1, 2, 3, 4])
    assert not ours.add_if_absent(1) and ours.add_if_absent(5)
    assert ours.discard_if_present(5) and not ours.discard_if_present(5)
    assert ours.pop_if(lambda value: value > 3) == 4 and ours.pop_if(lambda value: value > 3, 0) == 0
    assert ours.remove_if(lambda value: value == 2) == 1 and ours.drain() == {1, 3} and not ours


def test_iteration_is_over_a_snapshot():
    numbers, names, members = ThreadSafeList([1, 2]), ThreadSafeDict(a=1), ThreadSafeSet([1])
    for number in numbers:
        numbers.append(number)
    for name, value in names.items():
        names[name * 2] = value
    for member in members:
        members.add(member + 1)
    assert (len(numbers), len(names), len(members)) == (4, 2, 2)


def test_nothing_is_lost_under_threads(rapid_switching):
    counts, items, members = ThreadSafeDict(), ThreadSafeList([0]), ThreadSafeSet()
    made = ThreadSafeList()
    number = iter(range(10**9))
    number_lock = threading.Lock()

    def work():
        counts.increment("n")
        items.increment(0)
        with number_lock:
            mine = next(number)
        members.add(mine)
        counts.get_or_create(mine % 7, lambda: made.append(mine))
        counts.compute("list", lambda value: (value or 0) + 1)
        sorted(members), dict(counts), list(items)  # Readers must not see a torn collection.

    total = race(work, times=150)
    assert counts["n"] == counts["list"] == items[0] == len(members) == total
    assert len(made) == 7, "a factory was called twice for one key"


def test_two_of_them_may_look_at_each_other_at_once(rapid_switching):
    one, other = ThreadSafeSet(range(50)), ThreadSafeSet(range(25, 75))
    first, second = ThreadSafeDict.fromkeys(range(20)), ThreadSafeDict.fromkeys(range(20))

    def there():
        one | other, one == other, first == second
        one.update(other)
        first.update(second)

    def back():
        other & one, other != one, second == first
        other.update(one)
        second.update(first)

    workers = [threading.Thread(target=race, args=(function, 2, 200), daemon=True) for function in (there, back)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive(), "deadlock"
