//! What a call without limit waits for, so that the one who would end the wait can be found.
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
pub struct Waiting {
    /// For what.
    pub awaits: Awaits,
    /// The position of the argument that limits the wait.
    pub limit: Option<usize>,
}

const fn waits(awaits: Awaits, limit: Option<usize>) -> Waiting {
    Waiting { awaits, limit }
}

const AWAITS: &[(&str, Waiting)] = &[
    ("threading.Thread.join", waits(Awaits::Thread, Some(0))),
    ("concurrent.futures.Future.result", waits(Awaits::Future, Some(0))),
    ("concurrent.futures.Future.exception", waits(Awaits::Future, Some(0))),
    ("multiprocessing.pool.ThreadPool.apply_async.get", waits(Awaits::Future, Some(0))),
    ("multiprocessing.pool.ThreadPool.map_async.get", waits(Awaits::Future, Some(0))),
    ("concurrent.futures.Executor.shutdown", waits(Awaits::Executor, Some(0))),
    ("multiprocessing.pool.ThreadPool.join", waits(Awaits::Executor, None)),
    ("queue.Queue.get", waits(Awaits::Item, Some(1))),
    ("queue.SimpleQueue.get", waits(Awaits::Item, Some(1))),
    ("queue.Queue.put", waits(Awaits::Room, Some(2))),
    ("threading.Event.wait", waits(Awaits::Event, Some(0))),
    ("threading.Condition.wait", waits(Awaits::Notification, Some(0))),
    ("threading.Condition.wait_for", waits(Awaits::Notification, Some(1))),
    ("threading.Barrier.wait", waits(Awaits::Barrier, Some(0))),
    ("time.sleep", waits(Awaits::Time, None)),
    ("subprocess.run", waits(Awaits::Process, None)),
    ("subprocess.call", waits(Awaits::Process, None)),
    ("subprocess.check_call", waits(Awaits::Process, None)),
    ("subprocess.check_output", waits(Awaits::Process, None)),
    ("subprocess.Popen.wait", waits(Awaits::Process, Some(0))),
    ("subprocess.Popen.communicate", waits(Awaits::Process, Some(1))),
    ("os.system", waits(Awaits::Process, None)),
    ("urllib.request.urlopen", waits(Awaits::Outside, Some(2))),
    ("requests.get", waits(Awaits::Outside, None)),
    ("requests.post", waits(Awaits::Outside, None)),
    ("requests.put", waits(Awaits::Outside, None)),
    ("requests.request", waits(Awaits::Outside, None)),
    ("socket.create_connection", waits(Awaits::Outside, Some(1))),
    ("builtins.input", waits(Awaits::Outside, None)),
];

static AWAITS_INDEX: LazyLock<FxHashMap<Qual, Waiting>> = LazyLock::new(|| index(AWAITS));

/// What calling `callee` waits for.
pub fn waiting(callee: Qual) -> Option<Waiting> {
    AWAITS_INDEX.get(&callee).copied()
}
