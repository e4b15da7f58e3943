//! What library objects are for, and which call makes which.
//!
//! *Invariant:* an alias leads to a canonical name in one step.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use super::index;
use crate::facts::Qual;
use crate::qual;

/// What an object is for, as far as threads care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Mutual exclusion between threads.
    Lock(LockKind),
    /// `threading.Event`, `Barrier`: signalling.
    Signal,
    /// `threading.Thread` and kin.
    Thread,
    /// `multiprocessing.Process`.
    Process,
    /// Runs functions elsewhere.
    Executor(ExecutorKind),
    /// `concurrent.futures.Future`.
    Future,
    /// A thread-safe queue.
    Queue,
    /// `threading.local`.
    ThreadLocal,
    /// `contextvars.ContextVar`.
    ContextVar,
    /// An asyncio event loop.
    Loop,
    /// An asyncio lock, queue, event, future or task: belongs to one loop.
    AsyncPrimitive,
    /// Consumed by whoever calls `next`.
    Iterator,
    /// A generator.
    Generator,
    /// A mutable container.
    Container(ContainerKind),
    /// A stack frame.
    Frame,
    /// A file.
    File,
    /// An exception.
    Exception,
    /// Cannot change.
    Immutable,
}

/// Which lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockKind {
    /// Not reentrant.
    Lock,
    /// Reentrant.
    RLock,
    /// A condition over a lock (an `RLock` of its own unless given one).
    Condition,
    /// A counting semaphore.
    Semaphore,
    /// Known to be a lock, but not which.
    Unknown,
}

/// Where an executor runs its functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExecutorKind {
    /// Threads of this process.
    Thread,
    /// Other processes: nothing is shared.
    Process,
}

/// Which container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContainerKind {
    /// `list`
    List,
    /// `dict` and its subclasses
    Dict,
    /// `defaultdict`
    DefaultDict,
    /// `OrderedDict`: `move_to_end` and `popitem` relink a list
    OrderedDict,
    /// `set`
    Set,
    /// `deque`
    Deque,
    /// `bytearray`
    ByteArray,
    /// `WeakSet`, `WeakKeyDictionary`, `WeakValueDictionary`: shrink on their own
    Weak,
    /// A view: `d.items()`, `d.keys()`, `d.values()`
    View,
}

/// Names that mean another name.
const ALIASES: &[(&str, &str)] = &[
    ("_thread.allocate_lock", "threading.Lock"),
    ("_thread.allocate", "threading.Lock"),
    ("six.moves._thread.allocate_lock", "threading.Lock"),
    ("six.moves._dummy_thread.allocate_lock", "threading.Lock"),
    ("_dummy_thread.allocate_lock", "threading.Lock"),
    ("dummy_thread.allocate_lock", "threading.Lock"),
    ("_thread.LockType", "threading.Lock"),
    ("_thread.lock", "threading.Lock"),
    ("_thread.RLock", "threading.RLock"),
    ("_thread._local", "threading.local"),
    ("_thread.start_new", "_thread.start_new_thread"),
    ("thread.start_new_thread", "_thread.start_new_thread"),
    ("thread.allocate_lock", "threading.Lock"),
    ("threading._RLock", "threading.RLock"),
    ("threading._PyRLock", "threading.RLock"),
    ("threading._allocate_lock", "threading.Lock"),
    ("threading._start_new_thread", "_thread.start_new_thread"),
    ("threading._Condition", "threading.Condition"),
    ("threading._Timer", "threading.Timer"),
    ("threading._Event", "threading.Event"),
    ("dummy_threading.Lock", "threading.Lock"),
    ("dummy_threading.RLock", "threading.RLock"),
    ("concurrent.futures.thread.ThreadPoolExecutor", "concurrent.futures.ThreadPoolExecutor"),
    ("aether.AdaptiveThreadPool", "concurrent.futures.ThreadPoolExecutor"),
    ("aether.pool.AdaptiveThreadPool", "concurrent.futures.ThreadPoolExecutor"),
    ("concurrent.futures.process.ProcessPoolExecutor", "concurrent.futures.ProcessPoolExecutor"),
    ("concurrent.futures._base.Future", "concurrent.futures.Future"),
    ("concurrent.futures._base.Executor", "concurrent.futures.Executor"),
    ("multiprocessing.dummy.Pool", "multiprocessing.pool.ThreadPool"),
    ("multiprocessing.dummy.Process", "threading.Thread"),
    ("multiprocessing.dummy.DummyProcess", "threading.Thread"),
    ("queue.SimpleQueue", "queue.SimpleQueue"),
    ("_queue.SimpleQueue", "queue.SimpleQueue"),
    ("Queue.Queue", "queue.Queue"),
    ("six.moves.queue.Queue", "queue.Queue"),
    ("asyncio.locks.Lock", "asyncio.Lock"),
    ("asyncio.locks.Event", "asyncio.Event"),
    ("asyncio.locks.Condition", "asyncio.Condition"),
    ("asyncio.locks.Semaphore", "asyncio.Semaphore"),
    ("asyncio.queues.Queue", "asyncio.Queue"),
    ("asyncio.futures.Future", "asyncio.Future"),
    ("asyncio.tasks.Task", "asyncio.Task"),
    ("asyncio.events.AbstractEventLoop", "asyncio.AbstractEventLoop"),
    ("asyncio.events.get_event_loop", "asyncio.get_event_loop"),
    ("asyncio.events.new_event_loop", "asyncio.new_event_loop"),
    ("asyncio.events.get_running_loop", "asyncio.get_running_loop"),
    ("collections.abc.MutableMapping", "builtins.dict"),
    ("typing.Dict", "builtins.dict"),
    ("typing.List", "builtins.list"),
    ("typing.Set", "builtins.set"),
    ("typing.MutableMapping", "builtins.dict"),
    ("typing.Mapping", "builtins.dict"),
    ("typing.DefaultDict", "collections.defaultdict"),
    ("typing.Deque", "collections.deque"),
    ("typing.OrderedDict", "collections.OrderedDict"),
    ("typing.Iterator", "builtins.iterator"),
    ("typing.Generator", "builtins.generator"),
    ("collections.abc.Iterator", "builtins.iterator"),
    ("collections.abc.Generator", "builtins.generator"),
    ("types.GeneratorType", "builtins.generator"),
    ("types.FrameType", "builtins.frame"),
    ("weakref.WeakSet", "weakref.WeakSet"),
    ("_weakrefset.WeakSet", "weakref.WeakSet"),
    ("io.open", "builtins.open"),
    ("codecs.open", "builtins.open"),
    ("contextvars.ContextVar", "contextvars.ContextVar"),
    ("_warnings.catch_warnings", "warnings.catch_warnings"),
    ("py_warnings.catch_warnings", "warnings.catch_warnings"),
    ("_signal.signal", "signal.signal"),
    ("http.server.ThreadingHTTPServer", "http.server.ThreadingHTTPServer"),
];

/// Classes of library objects: name, role, and the class whose methods they share.
const OBJECTS: &[(&str, Role, &str)] = &[
    ("threading.Lock", Role::Lock(LockKind::Lock), ""),
    ("threading.RLock", Role::Lock(LockKind::RLock), "threading.Lock"),
    ("threading.Condition", Role::Lock(LockKind::Condition), ""),
    ("threading.Semaphore", Role::Lock(LockKind::Semaphore), ""),
    ("threading.BoundedSemaphore", Role::Lock(LockKind::Semaphore), "threading.Semaphore"),
    ("threading.Event", Role::Signal, ""),
    ("threading.Barrier", Role::Signal, ""),
    ("threading.Thread", Role::Thread, ""),
    ("threading.Timer", Role::Thread, "threading.Thread"),
    ("threading.local", Role::ThreadLocal, ""),
    ("gevent.local.local", Role::ThreadLocal, ""),
    ("werkzeug.local.Local", Role::ThreadLocal, ""),
    ("asgiref.local.Local", Role::ThreadLocal, ""),
    ("contextvars.ContextVar", Role::ContextVar, ""),
    ("multiprocessing.Process", Role::Process, ""),
    ("multiprocessing.Lock", Role::Lock(LockKind::Lock), ""),
    ("multiprocessing.RLock", Role::Lock(LockKind::RLock), ""),
    ("multiprocessing.Queue", Role::Queue, "queue.Queue"),
    ("multiprocessing.pool.ThreadPool", Role::Executor(ExecutorKind::Thread), ""),
    ("multiprocessing.Pool", Role::Executor(ExecutorKind::Process), ""),
    ("multiprocessing.pool.Pool", Role::Executor(ExecutorKind::Process), ""),
    ("concurrent.futures.Executor", Role::Executor(ExecutorKind::Thread), ""),
    ("concurrent.futures.ThreadPoolExecutor", Role::Executor(ExecutorKind::Thread), "concurrent.futures.Executor"),
    ("concurrent.futures.ProcessPoolExecutor", Role::Executor(ExecutorKind::Process), ""),
    ("concurrent.futures.Future", Role::Future, ""),
    ("queue.Queue", Role::Queue, ""),
    ("queue.LifoQueue", Role::Queue, "queue.Queue"),
    ("queue.PriorityQueue", Role::Queue, "queue.Queue"),
    ("queue.SimpleQueue", Role::Queue, ""),
    ("asyncio.AbstractEventLoop", Role::Loop, ""),
    ("asyncio.BaseEventLoop", Role::Loop, "asyncio.AbstractEventLoop"),
    ("asyncio.SelectorEventLoop", Role::Loop, "asyncio.AbstractEventLoop"),
    ("asyncio.ProactorEventLoop", Role::Loop, "asyncio.AbstractEventLoop"),
    ("uvloop.Loop", Role::Loop, "asyncio.AbstractEventLoop"),
    ("asyncio.Lock", Role::AsyncPrimitive, ""),
    ("asyncio.Event", Role::AsyncPrimitive, ""),
    ("asyncio.Condition", Role::AsyncPrimitive, ""),
    ("asyncio.Semaphore", Role::AsyncPrimitive, ""),
    ("asyncio.BoundedSemaphore", Role::AsyncPrimitive, "asyncio.Semaphore"),
    ("asyncio.Queue", Role::AsyncPrimitive, ""),
    ("asyncio.LifoQueue", Role::AsyncPrimitive, "asyncio.Queue"),
    ("asyncio.PriorityQueue", Role::AsyncPrimitive, "asyncio.Queue"),
    ("asyncio.Future", Role::AsyncPrimitive, ""),
    ("asyncio.Task", Role::AsyncPrimitive, "asyncio.Future"),
    ("builtins.iterator", Role::Iterator, ""),
    ("builtins.generator", Role::Generator, ""),
    ("builtins.frame", Role::Frame, ""),
    ("builtins.list", Role::Container(ContainerKind::List), ""),
    ("builtins.dict", Role::Container(ContainerKind::Dict), ""),
    ("builtins.set", Role::Container(ContainerKind::Set), ""),
    ("builtins.bytearray", Role::Container(ContainerKind::ByteArray), ""),
    ("collections.OrderedDict", Role::Container(ContainerKind::OrderedDict), "builtins.dict"),
    ("collections.defaultdict", Role::Container(ContainerKind::DefaultDict), "builtins.dict"),
    ("collections.Counter", Role::Container(ContainerKind::Dict), "builtins.dict"),
    ("collections.UserDict", Role::Container(ContainerKind::Dict), "builtins.dict"),
    ("collections.UserList", Role::Container(ContainerKind::List), "builtins.list"),
    ("collections.deque", Role::Container(ContainerKind::Deque), ""),
    ("weakref.WeakSet", Role::Container(ContainerKind::Weak), "builtins.set"),
    ("weakref.WeakKeyDictionary", Role::Container(ContainerKind::Weak), "builtins.dict"),
    ("weakref.WeakValueDictionary", Role::Container(ContainerKind::Weak), "builtins.dict"),
    ("builtins.view", Role::Container(ContainerKind::View), ""),
    ("builtins.tuple", Role::Immutable, ""),
    ("builtins.str", Role::Immutable, ""),
    ("builtins.int", Role::Immutable, ""),
    ("builtins.float", Role::Immutable, ""),
    ("builtins.bool", Role::Immutable, ""),
    ("builtins.bytes", Role::Immutable, ""),
    ("builtins.complex", Role::Immutable, ""),
    ("builtins.frozenset", Role::Immutable, ""),
    ("io.TextIOWrapper", Role::File, ""),
    ("builtins.exception", Role::Exception, ""),
];

/// Functions, and the class of what they return.
const RESULTS: &[(&str, &str)] = &[
    ("builtins.open", "io.TextIOWrapper"),
    ("os.fdopen", "io.TextIOWrapper"),
    ("gzip.open", "io.TextIOWrapper"),
    ("sys._getframe", "builtins.frame"),
    ("inspect.currentframe", "builtins.frame"),
    ("builtins.iter", "builtins.iterator"),
    ("builtins.zip", "builtins.iterator"),
    ("builtins.map", "builtins.iterator"),
    ("builtins.enumerate", "builtins.iterator"),
    ("builtins.filter", "builtins.iterator"),
    ("builtins.reversed", "builtins.iterator"),
    ("itertools.accumulate", "builtins.iterator"),
    ("itertools.chain", "builtins.iterator"),
    ("itertools.chain.from_iterable", "builtins.iterator"),
    ("itertools.combinations", "builtins.iterator"),
    ("itertools.combinations_with_replacement", "builtins.iterator"),
    ("itertools.compress", "builtins.iterator"),
    ("itertools.cycle", "builtins.iterator"),
    ("itertools.dropwhile", "builtins.iterator"),
    ("itertools.filterfalse", "builtins.iterator"),
    ("itertools.groupby", "builtins.iterator"),
    ("itertools.islice", "builtins.iterator"),
    ("itertools.pairwise", "builtins.iterator"),
    ("itertools.batched", "builtins.iterator"),
    ("itertools.permutations", "builtins.iterator"),
    ("itertools.product", "builtins.iterator"),
    ("itertools.repeat", "builtins.iterator"),
    ("itertools.starmap", "builtins.iterator"),
    ("itertools.takewhile", "builtins.iterator"),
    ("itertools.zip_longest", "builtins.iterator"),
    ("csv.reader", "builtins.iterator"),
    ("csv.DictReader", "builtins.iterator"),
    ("os.scandir", "builtins.iterator"),
    ("struct.iter_unpack", "builtins.iterator"),
    ("re.finditer", "builtins.iterator"),
    ("glob.iglob", "builtins.iterator"),
    ("os.walk", "builtins.generator"),
    ("asyncio.get_event_loop", "asyncio.AbstractEventLoop"),
    ("asyncio.get_running_loop", "asyncio.AbstractEventLoop"),
    ("asyncio.new_event_loop", "asyncio.AbstractEventLoop"),
    ("uvloop.new_event_loop", "asyncio.AbstractEventLoop"),
    ("asyncio.create_task", "asyncio.Task"),
    ("asyncio.ensure_future", "asyncio.Task"),
    ("asyncio.AbstractEventLoop.create_future", "asyncio.Future"),
    ("asyncio.AbstractEventLoop.create_task", "asyncio.Task"),
    ("asyncio.run_coroutine_threadsafe", "concurrent.futures.Future"),
    ("concurrent.futures.Executor.submit", "concurrent.futures.Future"),
    ("concurrent.futures.Executor.map", "builtins.generator"),
    ("tornado.ioloop.IOLoop.current", "tornado.ioloop.IOLoop"),
    ("tornado.ioloop.IOLoop.instance", "tornado.ioloop.IOLoop"),
    ("threading.current_thread", "threading.Thread"),
    ("threading.main_thread", "threading.Thread"),
    ("sqlite3.connect", "sqlite3.Connection"),
    ("sqlite3.dbapi2.connect", "sqlite3.Connection"),
    ("sqlite3.Connection.cursor", "sqlite3.Cursor"),
    ("sqlite3.Connection.execute", "sqlite3.Cursor"),
    ("sqlite3.Connection.executemany", "sqlite3.Cursor"),
    ("sqlite3.Connection.executescript", "sqlite3.Cursor"),
    ("sqlite3.Cursor.execute", "sqlite3.Cursor"),
    ("builtins.len", "builtins.int"),
    ("builtins.abs", "builtins.int"),
    ("builtins.sum", "builtins.int"),
    ("builtins.repr", "builtins.str"),
    ("builtins.id", "builtins.int"),
    ("builtins.hash", "builtins.int"),
    ("builtins.ord", "builtins.int"),
    ("builtins.chr", "builtins.str"),
    ("builtins.round", "builtins.int"),
    ("builtins.isinstance", "builtins.bool"),
    ("builtins.callable", "builtins.bool"),
    ("builtins.hasattr", "builtins.bool"),
    ("builtins.any", "builtins.bool"),
    ("builtins.all", "builtins.bool"),
    ("builtins.sorted", "builtins.list"),
    ("builtins.range", "builtins.tuple"),
    ("time.time", "builtins.float"),
    ("time.monotonic", "builtins.float"),
    ("time.perf_counter", "builtins.float"),
    ("builtins.dict.items", "builtins.view"),
    ("builtins.dict.keys", "builtins.view"),
    ("builtins.dict.values", "builtins.view"),
    ("builtins.dict.copy", "builtins.dict"),
    ("builtins.list.copy", "builtins.list"),
    ("builtins.set.copy", "builtins.set"),
    ("builtins.dict.fromkeys", "builtins.dict"),
    ("threading.Condition", "threading.Condition"),
    ("logging.getLogger", "logging.Logger"),
    ("threading._RLock", "threading.RLock"),
];

struct Tables {
    aliases: FxHashMap<Qual, Qual>,
    roles: FxHashMap<Qual, Role>,
    owners: FxHashMap<Qual, Qual>,
    results: FxHashMap<Qual, Qual>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables {
    aliases: ALIASES.iter().map(|&(alias, name)| (Qual::of(alias), Qual::of(name))).collect(),
    roles: index(&OBJECTS.iter().map(|&(name, role, _)| (name, role)).collect::<Vec<_>>()),
    owners: OBJECTS
        .iter()
        .filter(|(_, _, owner)| !owner.is_empty())
        .map(|&(name, _, owner)| (Qual::of(name), Qual::of(owner)))
        .collect(),
    results: RESULTS.iter().map(|&(name, result)| (Qual::of(name), Qual::of(result))).collect(),
});

/// Every name in these tables.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let aliases = ALIASES.iter().map(|row| row.0);
    aliases.chain(OBJECTS.iter().map(|row| row.0)).chain(RESULTS.iter().map(|row| row.0))
}

/// The name that `name` is another name for.
pub fn canonical(name: Qual) -> Qual {
    TABLES.aliases.get(&name).copied().unwrap_or(name)
}

/// What an object of class `class` is for.
pub fn role_of(class: Qual) -> Option<Role> {
    TABLES.roles.get(&class).copied()
}

/// The class whose documentation describes the methods of `class`: `LifoQueue.put` is `Queue.put`.
pub fn method_owner(class: Qual) -> Qual {
    TABLES.owners.get(&class).copied().unwrap_or(class)
}

/// The class of what calling `callee` returns. A name without a model makes an object of its own name.
pub fn result_of(callee: Qual) -> Qual {
    TABLES.results.get(&callee).copied().unwrap_or(callee)
}

/// Whether the builtin `name` is worth knowing: types and functions with an entry in these tables.
pub fn is_modelled_builtin(name: Qual) -> bool {
    TABLES.roles.contains_key(&name) || TABLES.results.contains_key(&name) || name == qual!("builtins.super")
}
