//! Library calls that keep the calling thread waiting: for time, for another thread, a process, the network, a person.
//!
//! *Invariant:* a call that may be told not to wait says by which argument.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::facts::Qual;

/// A call that waits.
#[derive(Clone, Copy, Debug)]
pub struct Blocking {
    /// What it waits for, as the end of "it waits for …".
    pub waits_for: &'static str,
    /// What a coroutine calls instead.
    pub instead: &'static str,
    /// The argument that, when not `True`, makes the call return at once.
    pub flag: Option<Switch>,
    /// The argument that, when zero, makes the call return at once.
    pub timeout: Option<Switch>,
}

/// An argument that decides whether a call waits.
#[derive(Clone, Copy, Debug)]
pub struct Switch {
    /// Its position among the positional arguments.
    pub position: usize,
    /// Its name.
    pub name: &'static str,
}

const fn at(position: usize, name: &'static str) -> Option<Switch> {
    Some(Switch { position, name })
}

type Row = (&'static str, Option<Switch>, Option<Switch>);

/// Calls that wait for the same thing, and what replaces them in a coroutine.
struct Group {
    waits_for: &'static str,
    instead: &'static str,
    rows: &'static [Row],
}

const GROUPS: &[Group] = &[
    Group {
        waits_for: "time to pass",
        instead: "`await asyncio.sleep(…)`",
        rows: &[("time.sleep", None, at(0, "secs"))],
    },
    Group {
        waits_for: "a lock that another thread may hold",
        instead: "an `asyncio` lock, or take it in a function handed to `asyncio.to_thread`",
        rows: &[
            ("threading.Lock.acquire", at(0, "blocking"), at(1, "timeout")),
            ("threading.Condition.acquire", at(0, "blocking"), at(1, "timeout")),
            ("threading.Semaphore.acquire", at(0, "blocking"), at(1, "timeout")),
            ("multiprocessing.Lock.acquire", at(0, "block"), at(1, "timeout")),
            ("multiprocessing.RLock.acquire", at(0, "block"), at(1, "timeout")),
        ],
    },
    Group {
        waits_for: "a signal from another thread",
        instead: "`asyncio.Event` or `asyncio.Condition`, set through `loop.call_soon_threadsafe`",
        rows: &[
            ("threading.Event.wait", None, at(0, "timeout")),
            ("threading.Barrier.wait", None, at(0, "timeout")),
            ("threading.Condition.wait", None, at(0, "timeout")),
            ("threading.Condition.wait_for", None, at(1, "timeout")),
        ],
    },
    Group {
        waits_for: "a thread to end",
        instead: "`await asyncio.to_thread(thread.join)`",
        rows: &[("threading.Thread.join", None, at(0, "timeout"))],
    },
    Group {
        waits_for: "work on another thread",
        instead: "`await asyncio.wrap_future(…)`, or `await loop.run_in_executor(…)`",
        rows: &[
            ("concurrent.futures.Future.result", None, at(0, "timeout")),
            ("concurrent.futures.Future.exception", None, at(0, "timeout")),
            ("concurrent.futures.wait", None, at(1, "timeout")),
            ("multiprocessing.pool.ThreadPool.map", None, None),
            ("multiprocessing.pool.ThreadPool.starmap", None, None),
            ("multiprocessing.pool.ThreadPool.apply", None, None),
            ("multiprocessing.pool.ThreadPool.join", None, None),
        ],
    },
    Group {
        waits_for: "another thread's end of the queue",
        instead: "an `asyncio.Queue`, or the `…_nowait` form",
        rows: &[
            ("queue.Queue.get", at(0, "block"), at(1, "timeout")),
            ("queue.Queue.put", at(1, "block"), at(2, "timeout")),
            ("queue.Queue.join", None, None),
            ("queue.SimpleQueue.get", at(0, "block"), at(1, "timeout")),
        ],
    },
    Group {
        waits_for: "another process",
        instead: "`await asyncio.create_subprocess_exec(…)`, or `asyncio.to_thread`",
        rows: &[
            ("subprocess.run", None, None),
            ("subprocess.call", None, None),
            ("subprocess.check_call", None, None),
            ("subprocess.check_output", None, None),
            ("subprocess.getoutput", None, None),
            ("subprocess.getstatusoutput", None, None),
            ("subprocess.Popen.wait", None, at(0, "timeout")),
            ("subprocess.Popen.communicate", None, at(1, "timeout")),
            ("multiprocessing.Process.join", None, at(0, "timeout")),
            ("multiprocessing.pool.Pool.map", None, None),
            ("multiprocessing.Pool.map", None, None),
            ("os.system", None, None),
        ],
    },
    Group {
        waits_for: "the network",
        instead: "an asynchronous client, or `await asyncio.to_thread(…)`",
        rows: &[
            ("urllib.request.urlopen", None, None),
            ("urllib.request.urlretrieve", None, None),
            ("socket.create_connection", None, None),
            ("socket.getaddrinfo", None, None),
            ("socket.gethostbyname", None, None),
            ("requests.request", None, None),
            ("requests.get", None, None),
            ("requests.head", None, None),
            ("requests.options", None, None),
            ("requests.post", None, None),
            ("requests.put", None, None),
            ("requests.patch", None, None),
            ("requests.delete", None, None),
            ("requests.Session.request", None, None),
            ("requests.Session.get", None, None),
            ("requests.Session.head", None, None),
            ("requests.Session.post", None, None),
            ("requests.Session.put", None, None),
            ("requests.Session.patch", None, None),
            ("requests.Session.delete", None, None),
            ("requests.Session.send", None, None),
            ("httpx.request", None, None),
            ("httpx.get", None, None),
            ("httpx.post", None, None),
            ("httpx.put", None, None),
            ("httpx.patch", None, None),
            ("httpx.delete", None, None),
            ("httpx.head", None, None),
            ("httpx.Client.request", None, None),
            ("httpx.Client.get", None, None),
            ("httpx.Client.post", None, None),
            ("httpx.Client.put", None, None),
            ("httpx.Client.patch", None, None),
            ("httpx.Client.delete", None, None),
            ("urllib3.request", None, None),
            ("urllib3.PoolManager.request", None, None),
            ("smtplib.SMTP", None, None),
            ("smtplib.SMTP_SSL", None, None),
            ("smtplib.SMTP.sendmail", None, None),
            ("smtplib.SMTP.send_message", None, None),
            ("select.select", None, at(3, "timeout")),
        ],
    },
    Group {
        waits_for: "somebody to type",
        instead: "`await asyncio.to_thread(input, …)`",
        rows: &[("builtins.input", None, None), ("getpass.getpass", None, None)],
    },
];

static INDEX: LazyLock<FxHashMap<Qual, Blocking>> = LazyLock::new(|| {
    let rows = GROUPS.iter().flat_map(|group| group.rows.iter().map(move |row| (group, row)));
    rows.map(|(group, &(name, flag, timeout))| {
        (Qual::of(name), Blocking { waits_for: group.waits_for, instead: group.instead, flag, timeout })
    })
    .collect()
});

/// How a call of `callee` waits, if it does.
pub fn blocking(callee: Qual) -> Option<&'static Blocking> {
    INDEX.get(&callee)
}
