//! Calls that wait for somebody else.
//!
//! Only calls that may wait without a limit are in the table; the argument that sets a limit is named with each.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use super::index;
use crate::facts::Qual;

/// What a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Awaits {
    /// The end of a thread.
    Thread,
    /// The result of a future.
    Future,
    /// The end of all tasks of an executor.
    Executor,
    /// An item in a queue.
    Item,
    /// Room in a queue.
    Room,
    /// Somebody to set an event.
    Event,
    /// Somebody to notify a condition.
    Notification,
    /// The other parties of a barrier.
    Barrier,
    /// Time to pass.
    Time,
    /// Another process.
    Process,
    /// The network, or a person.
    Outside,
}

/// A call that waits.
#[derive(Clone, Copy, Debug)]
pub struct Blocking {
    /// For what.
    pub awaits: Awaits,
    /// The position of the argument that limits the wait.
    pub limit: Option<usize>,
}

const fn blocks(awaits: Awaits, limit: Option<usize>) -> Blocking {
    Blocking { awaits, limit }
}

const BLOCKING: &[(&str, Blocking)] = &[
    ("threading.Thread.join", blocks(Awaits::Thread, Some(0))),
    ("concurrent.futures.Future.result", blocks(Awaits::Future, Some(0))),
    ("concurrent.futures.Future.exception", blocks(Awaits::Future, Some(0))),
    ("multiprocessing.pool.ThreadPool.apply_async.get", blocks(Awaits::Future, Some(0))),
    ("multiprocessing.pool.ThreadPool.map_async.get", blocks(Awaits::Future, Some(0))),
    ("concurrent.futures.Executor.shutdown", blocks(Awaits::Executor, Some(0))),
    ("multiprocessing.pool.ThreadPool.join", blocks(Awaits::Executor, None)),
    ("queue.Queue.get", blocks(Awaits::Item, Some(1))),
    ("queue.SimpleQueue.get", blocks(Awaits::Item, Some(1))),
    ("queue.Queue.put", blocks(Awaits::Room, Some(2))),
    ("threading.Event.wait", blocks(Awaits::Event, Some(0))),
    ("threading.Condition.wait", blocks(Awaits::Notification, Some(0))),
    ("threading.Condition.wait_for", blocks(Awaits::Notification, Some(1))),
    ("threading.Barrier.wait", blocks(Awaits::Barrier, Some(0))),
    ("time.sleep", blocks(Awaits::Time, None)),
    ("subprocess.run", blocks(Awaits::Process, None)),
    ("subprocess.call", blocks(Awaits::Process, None)),
    ("subprocess.check_call", blocks(Awaits::Process, None)),
    ("subprocess.check_output", blocks(Awaits::Process, None)),
    ("subprocess.Popen.wait", blocks(Awaits::Process, Some(0))),
    ("subprocess.Popen.communicate", blocks(Awaits::Process, Some(1))),
    ("os.system", blocks(Awaits::Process, None)),
    ("urllib.request.urlopen", blocks(Awaits::Outside, Some(2))),
    ("requests.get", blocks(Awaits::Outside, None)),
    ("requests.post", blocks(Awaits::Outside, None)),
    ("requests.put", blocks(Awaits::Outside, None)),
    ("requests.request", blocks(Awaits::Outside, None)),
    ("socket.create_connection", blocks(Awaits::Outside, Some(1))),
    ("builtins.input", blocks(Awaits::Outside, None)),
];

static BLOCKING_INDEX: LazyLock<FxHashMap<Qual, Blocking>> = LazyLock::new(|| index(BLOCKING));

/// What calling `callee` waits for.
pub fn blocking(callee: Qual) -> Option<Blocking> {
    BLOCKING_INDEX.get(&callee).copied()
}
