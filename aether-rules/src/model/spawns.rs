//! Who runs a callback, and on which thread.

use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};

use super::index;
use crate::facts::{Qual, Sym};

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
    pub keyword: Sym,
    /// Where it runs.
    pub runs_on: RunsOn,
}

const fn spawn(position: usize, keyword: &str, runs_on: RunsOn) -> Spawn {
    Spawn { position, keyword: Sym::new(keyword), runs_on }
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
    ("apscheduler.schedulers.blocking.BlockingScheduler.add_job", spawn(0, "func", RunsOn::Pool)),
    ("apscheduler.schedulers.asyncio.AsyncIOScheduler.add_job", spawn(0, "func", RunsOn::Loop)),
    ("tornado.ioloop.IOLoop.run_in_executor", spawn(1, "func", RunsOn::Pool)),
    ("tornado.ioloop.IOLoop.add_callback_from_signal", spawn(0, "callback", RunsOn::Loop)),
    ("tornado.ioloop.IOLoop.call_later", spawn(1, "callback", RunsOn::Loop)),
    ("django.urls.path", spawn(1, "view", RunsOn::Server)),
    ("django.urls.re_path", spawn(1, "view", RunsOn::Server)),
    ("django.conf.urls.url", spawn(1, "view", RunsOn::Server)),
    ("flask.Flask.add_url_rule", spawn(2, "view_func", RunsOn::Server)),
    ("flask.Blueprint.add_url_rule", spawn(2, "view_func", RunsOn::Server)),
    ("fastapi.FastAPI.add_api_route", spawn(1, "endpoint", RunsOn::Server)),
    ("fastapi.APIRouter.add_api_route", spawn(1, "endpoint", RunsOn::Server)),
    ("starlette.routing.Route", spawn(1, "endpoint", RunsOn::Server)),
    ("fastapi.BackgroundTasks.add_task", spawn(0, "func", RunsOn::Pool)),
    ("starlette.background.BackgroundTasks.add_task", spawn(0, "func", RunsOn::Pool)),
    ("starlette.background.BackgroundTask", spawn(0, "func", RunsOn::Pool)),
    ("gevent.get_hub.threadpool.spawn", spawn(0, "func", RunsOn::Pool)),
    ("eventlet.tpool.execute", spawn(0, "meth", RunsOn::Pool)),
    ("schedule.Job.do", spawn(0, "job_func", RunsOn::Timer)),
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
    ("tornado.concurrent.run_on_executor", RunsOn::Pool),
    ("apscheduler.schedulers.background.BackgroundScheduler.scheduled_job", RunsOn::Pool),
    ("apscheduler.schedulers.blocking.BlockingScheduler.scheduled_job", RunsOn::Pool),
];

const VERBS: &[&str] = &["get", "post", "put", "patch", "delete", "head", "options"];
const REST: &[&str] = &["list", "create", "retrieve", "update", "partial_update", "destroy"];
const FILE_EVENTS: &[&str] =
    &["dispatch", "on_any_event", "on_created", "on_deleted", "on_modified", "on_moved", "on_closed", "on_opened"];

/// Base classes whose methods a library calls: on request threads, each on an object of its own, or on a thread that
/// has the one object it was given.
const HANDLER_METHODS: &[(&str, (&[&str], RunsOn))] = &[
    ("django.views.View", (VERBS, RunsOn::Server)),
    ("django.views.generic.View", (VERBS, RunsOn::Server)),
    ("django.views.generic.base.View", (VERBS, RunsOn::Server)),
    ("django.views.generic.TemplateView", (VERBS, RunsOn::Server)),
    ("django.views.generic.ListView", (VERBS, RunsOn::Server)),
    ("django.views.generic.DetailView", (VERBS, RunsOn::Server)),
    ("django.views.generic.FormView", (VERBS, RunsOn::Server)),
    ("rest_framework.views.APIView", (VERBS, RunsOn::Server)),
    ("rest_framework.generics.GenericAPIView", (VERBS, RunsOn::Server)),
    ("rest_framework.viewsets.ViewSet", (REST, RunsOn::Server)),
    ("rest_framework.viewsets.GenericViewSet", (REST, RunsOn::Server)),
    ("rest_framework.viewsets.ModelViewSet", (REST, RunsOn::Server)),
    ("flask.views.View", (&["dispatch_request"], RunsOn::Server)),
    ("flask.views.MethodView", (VERBS, RunsOn::Server)),
    ("flask_restful.Resource", (VERBS, RunsOn::Server)),
    ("watchdog.events.FileSystemEventHandler", (FILE_EVENTS, RunsOn::Thread)),
    ("watchdog.events.PatternMatchingEventHandler", (FILE_EVENTS, RunsOn::Thread)),
    ("watchdog.events.RegexMatchingEventHandler", (FILE_EVENTS, RunsOn::Thread)),
];

/// Attributes to which a callback is assigned.
const CALLBACK_ATTRIBUTES: &[(&str, RunsOn)] = &[
    ("paho.mqtt.client.Client.on_connect", RunsOn::Thread),
    ("paho.mqtt.client.Client.on_disconnect", RunsOn::Thread),
    ("paho.mqtt.client.Client.on_message", RunsOn::Thread),
    ("paho.mqtt.client.Client.on_publish", RunsOn::Thread),
    ("paho.mqtt.client.Client.on_subscribe", RunsOn::Thread),
    ("paho.mqtt.client.Client.on_unsubscribe", RunsOn::Thread),
    ("paho.mqtt.client.Client.on_log", RunsOn::Thread),
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

static HANDLER_INDEX: LazyLock<FxHashMap<Qual, (&[&str], RunsOn)>> = LazyLock::new(|| index(HANDLER_METHODS));
static ATTRIBUTE_INDEX: LazyLock<FxHashMap<Qual, RunsOn>> = LazyLock::new(|| index(CALLBACK_ATTRIBUTES));
static ATTRIBUTE_NAMES: LazyLock<FxHashSet<Sym>> = LazyLock::new(|| {
    let names = CALLBACK_ATTRIBUTES.iter().filter_map(|(name, _)| name.rsplit_once('.'));
    names.map(|(_, last)| Sym::new(last)).collect()
});
static OWNERS: LazyLock<FxHashSet<Qual>> = LazyLock::new(|| {
    let names = SPAWNS.iter().map(|row| row.0).chain(CALLBACK_ATTRIBUTES.iter().map(|row| row.0));
    names.filter_map(|name| name.rsplit_once('.')).map(|(owner, _)| Qual::of(owner)).collect()
});

/// Every name in these tables.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let calls = SPAWNS.iter().map(|row| row.0).chain(HANDLER_DECORATORS.iter().map(|row| row.0));
    calls.chain(HANDLER_METHODS.iter().map(|row| row.0)).chain(CALLBACK_ATTRIBUTES.iter().map(|row| row.0))
}

/// What calling `callee` does with a callback.
pub fn spawn_of(callee: Qual) -> Option<Spawn> {
    SPAWN_INDEX.get(&callee).copied()
}

/// Where a function under the decorator `callee` runs.
pub fn handler_decorator(callee: Qual) -> Option<RunsOn> {
    DECORATOR_INDEX.get(&callee).copied()
}

/// Where a method of a class with this base runs.
pub fn handler_method(base: Qual, method: Sym) -> Option<RunsOn> {
    let (methods, runs_on) = HANDLER_INDEX.get(&base)?;
    methods.iter().any(|name| Sym::new(name) == method).then_some(*runs_on)
}

/// Where a callback runs that is assigned to this attribute.
pub fn callback_attribute(attribute: Qual) -> Option<RunsOn> {
    ATTRIBUTE_INDEX.get(&attribute).copied()
}

/// Whether anybody assigns callbacks to attributes of this name.
pub fn is_callback_attribute(name: Sym) -> bool {
    ATTRIBUTE_NAMES.contains(&name)
}

/// Whether a class has methods or attributes in these tables: an annotation with its name is worth knowing.
pub fn is_known_class(class: Qual) -> bool {
    OWNERS.contains(&class)
}

/// Whether a server of this class has a thread per request.
pub fn is_threading_server(class: Qual) -> bool {
    THREADING_SERVERS.contains(&class)
}
