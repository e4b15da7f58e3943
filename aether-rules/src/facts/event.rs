//! What a function does, in evaluation order, and under which conditions.
//!
//! *Invariant:* an [`Event`] belongs to one function; its [`Ctx`] chain ends in that function's [`CtxKind::Body`]. An
//! event that follows another in the list is never evaluated before it in the same pass through the body.

use ruff_text_size::TextRange;

use super::term::{CallIx, CtxIx, FuncIx, TermId};

/// One step of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happens.
    pub kind: EventKind,
    /// Where.
    pub range: TextRange,
    /// Under which conditions.
    pub ctx: CtxIx,
}

/// What happens in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A place is read.
    Load(TermId),
    /// A place is rebound: target, value.
    Store(TermId, TermId),
    /// `target op= value`.
    Augment(TermId, TermId),
    /// `del target`.
    Delete(TermId),
    /// A call returns.
    Call(CallIx),
    /// An iterable is iterated by a loop, comprehension or unpacking.
    Iterate(TermId),
    /// The function suspends at `await`, `async for` or `async with`.
    Await,
    /// The function suspends at `yield` or `yield from`.
    Yield(TermId),
    /// The function returns.
    Return(TermId),
    /// An exception is raised; opaque for a bare `raise`.
    Raise(TermId),
}

/// One enclosing condition of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ctx {
    /// The condition around this one; itself for [`CtxKind::Body`].
    pub parent: CtxIx,
    /// The function it belongs to.
    pub function: FuncIx,
    /// What it is.
    pub kind: CtxKind,
    /// The header that opens it: the test, the context expression, the loop's iterable.
    pub range: TextRange,
}

/// What a control context is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CtxKind {
    /// The body of a function.
    Body(FuncIx),
    /// Inside `with expr`.
    With(TermId, WithKind),
    /// Where `test` is known to have held, or not to have held. Also after `if test: return`.
    Branch(TermId, Arm),
    /// Inside the body of a `for`, over the iterable.
    For(TermId),
    /// Inside the body of a `while`, whose test is a [`CtxKind::Branch`] of its own.
    While,
    /// Inside the body of a `try`.
    Try,
    /// Inside an exception handler for these types.
    Handler(TermId),
    /// Inside a `finally`.
    Finally,
    /// Inside a `case`, or the test-less arm of something conditional.
    Maybe,
}

/// Whether a `with` suspends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithKind {
    /// `with`
    Plain,
    /// `async with`
    Async,
}

/// Which way a test went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// The test held.
    Then,
    /// The test did not hold.
    Else,
}
