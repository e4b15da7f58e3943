//! One task: queued, running, done, cancelled.
//!
//! The queue holds a task behind a `dyn` pointer, its handle holds the same task with its type. Whoever first *claims*
//! it decides its fate: a worker runs it, `cancel` drops it, a worker that waits for it runs it on the spot (a pool
//! whose workers all wait for queued tasks would otherwise stand still).
//!
//! *Invariant:* a task is claimed once; a panic stays in the task and is handed to whoever waits.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::inner::Inner;

/// Why there is no result.
#[derive(Error)]
pub enum TaskError {
    /// The task panicked; the payload is what it panicked with.
    #[error("the task panicked: {}", crate::profile::threads::panic_message(&**.0))]
    Panicked(Box<dyn Any + Send>),
    /// The task was cancelled before it began, by its handle or by the pool's shutdown.
    #[error("the task was cancelled")]
    Cancelled,
}

impl std::fmt::Debug for TaskError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{self}")
    }
}

impl TaskError {
    /// Goes on panicking with what the task panicked with; a cancelled task panics with its message.
    pub fn resume(self) -> ! {
        match self {
            Self::Panicked(payload) => resume_unwind(payload),
            Self::Cancelled => resume_unwind(Box::new(self.to_string())),
        }
    }
}

type Function<T> = Box<dyn FnOnce() -> T + Send>;

enum State<T> {
    Queued(Function<T>),
    Running,
    Done(Result<T, TaskError>),
    Taken,
}

pub(crate) struct Task<T> {
    state: Mutex<State<T>>,
    done: Condvar,
}

/// A task without its type: what the queue holds.
pub(crate) trait Runnable: Send + Sync {
    /// Runs it, unless somebody claimed it before; says whether it ran.
    fn run(&self) -> bool;
    /// Drops it unrun, unless somebody claimed it before; says whether it did.
    fn cancel(&self) -> bool;
}

impl<T> Task<T> {
    pub(crate) fn new(function: Function<T>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::Queued(function)), done: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // The user's code never runs under this lock, so a poisoned one is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn claim(&self) -> Option<Function<T>> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Running) {
            State::Queued(function) => Some(function),
            other => {
                *state = other;
                None
            }
        }
    }

    fn finish(&self, result: Result<T, TaskError>) {
        *self.lock() = State::Done(result);
        self.done.notify_all();
    }

    /// Drops it unrun, unless somebody claimed it before; for callers that do not know whether `T` may be sent.
    pub(super) fn abandon(&self) -> bool {
        let Some(function) = self.claim() else {
            return false;
        };
        // What the closure owns may panic when dropped; the waiting side must hear of the end all the same.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(function)));
        self.finish(Err(dropped.err().map_or(TaskError::Cancelled, TaskError::Panicked)));
        true
    }

    fn is_done(&self) -> bool {
        matches!(*self.lock(), State::Done(_) | State::Taken)
    }

    /// Waits until `deadline` (for ever without one) and takes the result.
    fn wait(&self, deadline: Option<Instant>) -> Option<Result<T, TaskError>> {
        let mut state = self.lock();
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Done(result) => return Some(result),
                other => *state = other,
            }
            state = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
                None => self.done.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return None,
                Some(left) => self.done.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }
}

impl<T: Send> Runnable for Task<T> {
    fn run(&self) -> bool {
        let Some(function) = self.claim() else {
            return false;
        };
        let result = catch_unwind(AssertUnwindSafe(function)).map_err(TaskError::Panicked);
        self.finish(result);
        true
    }

    fn cancel(&self) -> bool {
        self.abandon()
    }
}

/// A task that was submitted. Dropping the handle does not cancel the task.
#[must_use = "a task whose handle is dropped still runs, but a panic in it goes unseen"]
pub struct TaskHandle<T> {
    pub(crate) task: Arc<Task<T>>,
    pub(crate) pool: Arc<Inner>,
}

impl<T: Send + 'static> TaskHandle<T> {
    /// Waits for the result.
    ///
    /// On one of the pool's own workers a task that has not begun is run here and now, and a running one is waited for
    /// with another worker in this one's place.
    pub fn join(self) -> Result<T, TaskError> {
        if self.pool.is_current() {
            self.task.run();
        }
        let wait = || self.task.wait(None).unwrap_or(Err(TaskError::Cancelled));
        if self.is_finished() { wait() } else { self.pool.blocking(wait) }
    }

    /// Waits for the result no longer than this; gives the handle back if there is none by then.
    pub fn join_timeout(self, timeout: Duration) -> Result<Result<T, TaskError>, Self> {
        let deadline = Instant::now().checked_add(timeout);
        let result = self.pool.blocking(|| self.task.wait(deadline));
        result.ok_or(self)
    }

    /// Whether the result is there.
    pub fn is_finished(&self) -> bool {
        self.task.is_done()
    }

    /// Cancels the task if it has not begun; says whether it did.
    pub fn cancel(&self) -> bool {
        self.task.cancel()
    }
}

impl<T> std::fmt::Debug for TaskHandle<T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = if self.task.is_done() { "finished" } else { "pending" };
        write!(out, "TaskHandle({state})")
    }
}
