//! Library objects that one thread may use at a time, by what their projects document.
//!
//! *Invariant:* every row has a source: what a library does not say about itself is not here.

use crate::facts::Qual;

/// What a library says of an object.
#[derive(Clone, Copy, Debug)]
pub struct Confined {
    /// The class, or the function that makes the object.
    pub class: Qual,
    /// How a reader would name it.
    pub name: &'static str,
    /// The methods that count; empty for all.
    pub methods: &'static [&'static str],
    /// Which threads may use it.
    pub threads: Threads,
    /// What to do instead.
    pub advice: &'static str,
}

/// Which threads may use an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// Any, one at a time.
    One,
    /// The main thread, which runs the event loop.
    Main,
}

const BOTO: &str = "make a `boto3.Session()` in every thread, or share a low-level client, which is thread-safe";
const SQLALCHEMY: &str = "make a `Session` for every thread or task, or use `scoped_session`";
const ETREE: &str = "build the tree in one thread, or hold one lock around every change";
const PICKLE: &str = "use `pickle.dumps`, or a Pickler of each thread's own";
const PIPE: &str = "let one thread own each end of the pipe, or hold a lock around `send` and `recv`";
const TK: &str = "hand the result to the main thread through a queue that `after` polls";
const KAFKA: &str = "give each thread a consumer of its own; a KafkaProducer may be shared";
const CHANGES: &[&str] = &["append", "extend", "insert", "remove", "clear", "set"];
/// `after` and `event_generate` are how other threads reach the main loop.
const WIDGET: &[&str] = &[
    "config",
    "configure",
    "insert",
    "delete",
    "pack",
    "grid",
    "place",
    "destroy",
    "update",
    "update_idletasks",
    "create_line",
    "create_text",
    "create_oval",
    "create_rectangle",
    "create_image",
    "itemconfig",
    "coords",
    "move",
    "set",
    "title",
    "geometry",
    "focus",
    "see",
];

const fn one(class: &str, name: &'static str, methods: &'static [&'static str], advice: &'static str) -> Confined {
    Confined { class: Qual::of(class), name, methods, threads: Threads::One, advice }
}

const fn widget(class: &str) -> Confined {
    Confined { class: Qual::of(class), name: "a tkinter widget", methods: WIDGET, threads: Threads::Main, advice: TK }
}

/// The objects.
pub const CONFINED: &[Confined] = &[
    one("boto3.Session", "a boto3 Session", &[], BOTO),
    one("boto3.session.Session", "a boto3 Session", &[], BOTO),
    one("boto3.resource", "a boto3 resource", &[], BOTO),
    one("boto3.Session.resource", "a boto3 resource", &[], BOTO),
    one("boto3.session.Session.resource", "a boto3 resource", &[], BOTO),
    one("sqlalchemy.orm.Session", "a SQLAlchemy Session", &[], SQLALCHEMY),
    one("sqlalchemy.orm.session.Session", "a SQLAlchemy Session", &[], SQLALCHEMY),
    one("sqlalchemy.ext.asyncio.AsyncSession", "a SQLAlchemy AsyncSession", &[], SQLALCHEMY),
    one("sqlmodel.Session", "a SQLAlchemy Session", &[], SQLALCHEMY),
    one(
        "kafka.KafkaConsumer",
        "a KafkaConsumer",
        &["poll", "commit", "seek", "assign", "subscribe", "pause", "resume"],
        KAFKA,
    ),
    one("xml.etree.ElementTree.Element", "an element tree", CHANGES, ETREE),
    one("xml.etree.ElementTree.SubElement", "an element tree", CHANGES, ETREE),
    one("xml.etree.ElementTree.XMLParser", "an XML parser", &["feed", "close"], ETREE),
    one("xml.etree.ElementTree.XMLPullParser", "an XML parser", &["feed", "close"], ETREE),
    one("pickle.Pickler", "a Pickler", &["dump", "clear_memo"], PICKLE),
    one("pickle.Unpickler", "an Unpickler", &["load"], PICKLE),
    one("multiprocessing.Pipe", "a pipe end", &["send", "recv", "send_bytes", "recv_bytes", "recv_bytes_into"], PIPE),
    widget("tkinter.Tk"),
    widget("tkinter.Toplevel"),
    widget("tkinter.Frame"),
    widget("tkinter.Label"),
    widget("tkinter.Button"),
    widget("tkinter.Entry"),
    widget("tkinter.Text"),
    widget("tkinter.Canvas"),
    widget("tkinter.Listbox"),
    widget("tkinter.StringVar"),
    widget("tkinter.IntVar"),
    widget("tkinter.ttk.Label"),
    widget("tkinter.ttk.Button"),
    widget("tkinter.ttk.Entry"),
    widget("tkinter.ttk.Frame"),
    widget("tkinter.ttk.Progressbar"),
    widget("tkinter.ttk.Treeview"),
    widget("tkinter.scrolledtext.ScrolledText"),
];

/// What a library says of the objects of a class.
pub fn confined(class: Qual) -> Option<&'static Confined> {
    CONFINED.iter().find(|row| row.class == class)
}
