//! What a method does to the container it is called on.
//!
//! Atomicity facts are CPython's documented ones for built-in containers; subclasses written in Python get the same
//! effects and none of the promises.

use super::ContainerKind;
use crate::facts::Sym;
use crate::sym;

/// What a call does to its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Looks at one element or the size.
    Read,
    /// Walks all elements while others may change them.
    Iterate,
    /// Copies in one step.
    Snapshot,
    /// Changes the size: an iteration elsewhere notices.
    Resize,
    /// Changes an element or the order, not the size.
    Modify,
    /// A view onto the live container.
    View,
    /// Takes the next element out of an iterator.
    Consume,
}

impl Effect {
    /// Whether the container is different afterwards.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Resize | Self::Modify | Self::Consume)
    }
}

/// What `method` does to a container; `None` for what is no method of it.
pub fn effect_of(container: ContainerKind, method: Sym) -> Option<Effect> {
    const APPEND: Sym = sym!("append");
    match container {
        ContainerKind::List if method == sym!("sort") || method == sym!("reverse") => Some(Effect::Modify),
        ContainerKind::List => {
            resizes_sequence(method).or_else(|| (method == sym!("copy")).then_some(Effect::Snapshot))
        }
        ContainerKind::Deque => match method {
            m if m == sym!("appendleft") || m == sym!("popleft") || m == sym!("extendleft") => Some(Effect::Resize),
            m if m == sym!("rotate") => Some(Effect::Modify),
            m if m == sym!("copy") => Some(Effect::Iterate),
            _ => resizes_sequence(method),
        },
        ContainerKind::Dict | ContainerKind::DefaultDict | ContainerKind::OrderedDict | ContainerKind::Weak => {
            mapping(method).or_else(|| set(method))
        }
        ContainerKind::Set => set(method),
        ContainerKind::ByteArray => (method == APPEND).then_some(Effect::Resize),
        ContainerKind::View => None,
    }
}

/// What `method` does to a container of unknown type, where the name leaves no doubt that it is one.
pub fn effect_by_name(method: Sym) -> Option<Effect> {
    const NAMES: &[Sym] = &[
        Sym::new("append"),
        Sym::new("appendleft"),
        Sym::new("popleft"),
        Sym::new("extend"),
        Sym::new("setdefault"),
        Sym::new("popitem"),
        Sym::new("discard"),
        Sym::new("insert"),
    ];
    NAMES.contains(&method).then_some(Effect::Resize)
}

fn resizes_sequence(method: Sym) -> Option<Effect> {
    const RESIZE: &[Sym] = &[
        Sym::new("append"),
        Sym::new("extend"),
        Sym::new("insert"),
        Sym::new("pop"),
        Sym::new("remove"),
        Sym::new("clear"),
    ];
    const READ: &[Sym] = &[Sym::new("index"), Sym::new("count")];
    if RESIZE.contains(&method) { Some(Effect::Resize) } else { READ.contains(&method).then_some(Effect::Read) }
}

fn mapping(method: Sym) -> Option<Effect> {
    const RESIZE: &[Sym] = &[
        Sym::new("pop"),
        Sym::new("popitem"),
        Sym::new("clear"),
        Sym::new("update"),
        Sym::new("setdefault"),
        Sym::new("__setitem__"),
        Sym::new("__delitem__"),
        Sym::new("subtract"),
    ];
    const VIEW: &[Sym] = &[Sym::new("items"), Sym::new("keys"), Sym::new("values")];
    match method {
        m if RESIZE.contains(&m) => Some(Effect::Resize),
        m if VIEW.contains(&m) => Some(Effect::View),
        m if m == sym!("move_to_end") => Some(Effect::Modify),
        m if m == sym!("copy") => Some(Effect::Snapshot),
        m if m == sym!("get") || m == sym!("__contains__") || m == sym!("__getitem__") => Some(Effect::Read),
        m if m == sym!("most_common") || m == sym!("elements") => Some(Effect::Iterate),
        _ => None,
    }
}

fn set(method: Sym) -> Option<Effect> {
    const RESIZE: &[Sym] = &[
        Sym::new("add"),
        Sym::new("discard"),
        Sym::new("remove"),
        Sym::new("pop"),
        Sym::new("clear"),
        Sym::new("update"),
        Sym::new("difference_update"),
        Sym::new("intersection_update"),
        Sym::new("symmetric_difference_update"),
    ];
    const ITERATE: &[Sym] = &[Sym::new("union"), Sym::new("difference"), Sym::new("intersection")];
    match method {
        m if RESIZE.contains(&m) => Some(Effect::Resize),
        m if m == sym!("copy") => Some(Effect::Snapshot),
        m if ITERATE.contains(&m) => Some(Effect::Snapshot),
        _ => None,
    }
}

/// Whether `method` advances a generator or iterator.
pub fn consumes(method: Sym) -> bool {
    [sym!("send"), sym!("throw"), sym!("close"), sym!("__next__"), sym!("next")].contains(&method)
}

/// Whether `method` stores its last argument in the receiver.
pub fn adds_last_argument(method: Sym) -> bool {
    const NAMES: &[Sym] = &[
        Sym::new("append"),
        Sym::new("appendleft"),
        Sym::new("add"),
        Sym::new("insert"),
        Sym::new("setdefault"),
        Sym::new("put"),
        Sym::new("put_nowait"),
    ];
    NAMES.contains(&method)
}
