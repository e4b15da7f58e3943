//! Who runs a callback, and on which thread.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use super::index;
use crate::facts::Qual;

/// Where a callback runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunsOn {
    /// A thread of its own, once per start.
    Thread,
    /// A pool: several at a time.
    Pool,
    /// A request thread of a server: several at a time, on an object of its own.
    Server,
    /// A timer or scheduler thread.
    Timer,
    /// Whichever thread drops the last reference, between any two bytecodes.
    Finalizer,
    /// The main thread, between any two bytecodes.
    Signal,
    /// The thread of an event loop.
    Loop,
}

impl RunsOn {
    /// Whether two runs of the same callback may overlap, whatever the program does.
    pub const fn is_self_parallel(self) -> bool {
        matches!(self, Self::Pool | Self::Server)
    }

    /// Whether the callback runs on another thread than the one that registered it.
    pub const fn is_thread(self) -> bool {
        matches!(self, Self::Thread | Self::Pool | Self::Server | Self::Timer)
    }
}

/// A call that hands a function to another thread.
#[derive(Clone, Copy, Debug)]
pub struct Spawn {
    /// The position of the callback among the positional arguments.
    pub position: usize,
    /// Its name as a keyword.
    pub keyword: &'static str,
    /// Where it runs.
    pub runs_on: RunsOn,
}

const fn spawn(position: usize, keyword: &'static str, runs_on: RunsOn) -> Spawn {
    Spawn { position, keyword, runs_on }
}

const SPAWNS: &[(&str, Spawn)] = &[
    ("threading.Thread", spawn(1, "target", RunsOn::Thread)),
    ("threading.Timer", spawn(1, "function", RunsOn::Timer)),
    ("_thread.start_new_thread", spawn(0, "function", RunsOn::Thread)),
    ("_thread.start_joinable_thread", spawn(0, "function", RunsOn::Thread)),
    ("concurrent.futures.Executor.submit", spawn(0, "fn", RunsOn::Pool)),
    ("concurrent.futures.Executor.map", spawn(0, "fn", RunsOn::Pool)),
    ("concurrent.futures.Future.add_done_callback", spawn(0, "fn", RunsOn::Pool)),
    ("multiprocessing.pool.ThreadPool.apply_async", spawn(0, "func", RunsOn::Pool)),
    ("multiprocessing.pool.ThreadPool.apply", spawn(0, "func", RunsOn::Pool)),
    ("multiprocessing.pool.ThreadPool.map", spawn(0, "func", RunsOn::Pool)),
    ("multiprocessing.pool.ThreadPool.map_async", spawn(0, "func", RunsOn::Pool)),
    ("multiprocessing.pool.ThreadPool.imap", spawn(0, "func", RunsOn::Pool)),
    ("multiprocessing.pool.ThreadPool.imap_unordered", spawn(0, "func", RunsOn::Pool)),
    ("multiprocessing.pool.ThreadPool.starmap", spawn(0, "func", RunsOn::Pool)),
    ("multiprocessing.pool.ThreadPool.starmap_async", spawn(0, "func", RunsOn::Pool)),
    ("aether.par_map", spawn(0, "fn", RunsOn::Pool)),
    ("aether.pool.par_map", spawn(0, "fn", RunsOn::Pool)),
    ("asyncio.to_thread", spawn(0, "func", RunsOn::Pool)),
    ("asyncio.AbstractEventLoop.run_in_executor", spawn(1, "func", RunsOn::Pool)),
    ("asyncio.AbstractEventLoop.call_soon_threadsafe", spawn(0, "callback", RunsOn::Loop)),
    ("asyncio.AbstractEventLoop.call_soon", spawn(0, "callback", RunsOn::Loop)),
    ("asyncio.AbstractEventLoop.call_later", spawn(1, "callback", RunsOn::Loop)),
    ("asyncio.AbstractEventLoop.call_at", spawn(1, "callback", RunsOn::Loop)),
    ("asyncio.AbstractEventLoop.add_reader", spawn(1, "callback", RunsOn::Loop)),
    ("asyncio.AbstractEventLoop.add_writer", spawn(1, "callback", RunsOn::Loop)),
    ("asyncio.Future.add_done_callback", spawn(0, "callback", RunsOn::Loop)),
    ("asyncio.AbstractEventLoop.add_signal_handler", spawn(1, "callback", RunsOn::Loop)),
    ("anyio.to_thread.run_sync", spawn(0, "func", RunsOn::Pool)),
    ("trio.to_thread.run_sync", spawn(0, "sync_fn", RunsOn::Pool)),
    ("starlette.concurrency.run_in_threadpool", spawn(0, "func", RunsOn::Pool)),
    ("fastapi.concurrency.run_in_threadpool", spawn(0, "func", RunsOn::Pool)),
    ("asgiref.sync.sync_to_async", spawn(0, "func", RunsOn::Pool)),
    ("twisted.internet.threads.deferToThread", spawn(0, "f", RunsOn::Pool)),
    ("gevent.threadpool.ThreadPool.spawn", spawn(0, "func", RunsOn::Pool)),
    ("weakref.finalize", spawn(1, "func", RunsOn::Finalizer)),
    ("weakref.ref", spawn(1, "callback", RunsOn::Finalizer)),
    ("weakref.proxy", spawn(1, "callback", RunsOn::Finalizer)),
    ("signal.signal", spawn(1, "handler", RunsOn::Signal)),
    ("apscheduler.schedulers.background.BackgroundScheduler.add_job", spawn(0, "func", RunsOn::Pool)),
    ("tornado.ioloop.IOLoop.add_callback", spawn(0, "callback", RunsOn::Loop)),
];

/// Decorators that make a function a request handler of a threaded server: methods of these objects.
const HANDLER_DECORATORS: &[(&str, RunsOn)] = &[
    ("flask.Flask.route", RunsOn::Server),
    ("flask.Flask.get", RunsOn::Server),
    ("flask.Flask.post", RunsOn::Server),
    ("flask.Flask.put", RunsOn::Server),
    ("flask.Flask.delete", RunsOn::Server),
    ("flask.Flask.before_request", RunsOn::Server),
    ("flask.Flask.after_request", RunsOn::Server),
    ("flask.Blueprint.route", RunsOn::Server),
    ("flask.Blueprint.get", RunsOn::Server),
    ("flask.Blueprint.post", RunsOn::Server),
    ("fastapi.FastAPI.get", RunsOn::Server),
    ("fastapi.FastAPI.post", RunsOn::Server),
    ("fastapi.FastAPI.put", RunsOn::Server),
    ("fastapi.FastAPI.delete", RunsOn::Server),
    ("fastapi.FastAPI.patch", RunsOn::Server),
    ("fastapi.APIRouter.get", RunsOn::Server),
    ("fastapi.APIRouter.post", RunsOn::Server),
    ("fastapi.APIRouter.put", RunsOn::Server),
    ("fastapi.APIRouter.delete", RunsOn::Server),
    ("bottle.route", RunsOn::Server),
];

/// Base classes whose methods run on request threads, each on an object of its own.
const HANDLER_BASES: &[Qual] = &[
    Qual::of("socketserver.BaseRequestHandler"),
    Qual::of("socketserver.StreamRequestHandler"),
    Qual::of("socketserver.DatagramRequestHandler"),
    Qual::of("http.server.BaseHTTPRequestHandler"),
    Qual::of("http.server.SimpleHTTPRequestHandler"),
    Qual::of("wsgiref.simple_server.WSGIRequestHandler"),
];

/// Servers that run every request on a thread of its own; the handler class is their second argument.
const THREADING_SERVERS: &[Qual] = &[
    Qual::of("socketserver.ThreadingMixIn"),
    Qual::of("socketserver.ThreadingTCPServer"),
    Qual::of("socketserver.ThreadingUDPServer"),
    Qual::of("socketserver.ThreadingUnixStreamServer"),
    Qual::of("http.server.ThreadingHTTPServer"),
];

static SPAWN_INDEX: LazyLock<FxHashMap<Qual, Spawn>> = LazyLock::new(|| index(SPAWNS));
static DECORATOR_INDEX: LazyLock<FxHashMap<Qual, RunsOn>> = LazyLock::new(|| index(HANDLER_DECORATORS));

/// What calling `callee` does with a callback.
pub fn spawn_of(callee: Qual) -> Option<Spawn> {
    SPAWN_INDEX.get(&callee).copied()
}

/// Where a function under the decorator `callee` runs.
pub fn handler_decorator(callee: Qual) -> Option<RunsOn> {
    DECORATOR_INDEX.get(&callee).copied()
}

/// Whether a class with this base handles requests.
pub fn is_handler_base(class: Qual) -> bool {
    HANDLER_BASES.contains(&class)
}

/// Whether a server of this class has a thread per request.
pub fn is_threading_server(class: Qual) -> bool {
    THREADING_SERVERS.contains(&class)
}
