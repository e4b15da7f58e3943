//! Tasks that borrow from the caller's stack.
//!
//! The one place of this crate that needs `unsafe`: a task that borrows is queued beside tasks that do not, so its
//! lifetime has to be forgotten, and the promise that it ends in time kept by waiting.
//!
//! *Invariant:* [`run`] does not return or unwind before every task of its scope was run or dropped.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::inner::Inner;
use super::task::{Runnable, Task};

/// Hands out tasks that may borrow what outlives `'scope`. See [`AdaptivePool::scope`](super::AdaptivePool::scope).
pub struct Scope<'scope> {
    pool: Arc<Inner>,
    pending: Arc<Pending>,
    /// Kept so that a scope opened on a worker can run what no other worker has begun.
    tasks: Mutex<Vec<Arc<Task<()>>>>,
    /// Invariant over the lifetime, so that it can be neither shortened nor stretched.
    lifetime: PhantomData<std::cell::Cell<&'scope ()>>,
}

#[derive(Default)]
struct Pending {
    state: Mutex<PendingState>,
    ended: Condvar,
}

#[derive(Default)]
struct PendingState {
    tasks: usize,
    panic: Option<Box<dyn Any + Send>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Body<'scope> = Box<dyn FnOnce() + Send + 'scope>;

/// A task and the count it stands for. Fields are dropped in order: the borrow ends before the count does.
struct Counted {
    body: Option<Body<'static>>,
    count: Count,
}

struct Count(Arc<Pending>);

impl Drop for Count {
    fn drop(&mut self) {
        let mut state = locked(&self.0.state);
        state.tasks -= 1;
        if state.tasks == 0 {
            self.0.ended.notify_all();
        }
    }
}

impl Counted {
    fn run(mut self) {
        let Some(body) = self.body.take() else { return };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
            locked(&self.count.0.state).panic.get_or_insert(panic);
        }
    }
}

impl<'scope> Scope<'scope> {
    /// Queues a task. On a pool that takes no more it runs here and now.
    pub fn spawn(&self, body: impl FnOnce() + Send + 'scope) {
        let counted = self.count(Box::new(body));
        let task = Task::new(Box::new(move || counted.run()));
        locked(&self.tasks).push(Arc::clone(&task));
        if !self.pool.submit(Arc::clone(&task) as Arc<dyn Runnable>) {
            task.run();
        }
    }

    fn count(&self, body: Body<'scope>) -> Counted {
        locked(&self.pending.state).tasks += 1;
        let count = Count(Arc::clone(&self.pending));
        Counted { body: Some(forget_lifetime(body)), count }
    }

    fn wait(&self) {
        if self.pool.is_current() {
            // A worker that only waited could wait for a task that is queued behind itself.
            for task in locked(&self.tasks).drain(..) {
                task.run();
            }
        }
        self.pool.blocking(|| {
            let mut state = locked(&self.pending.state);
            while state.tasks > 0 {
                state = self.pending.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        });
    }
}

#[expect(unsafe_code, reason = "the borrow checker cannot see that `run` waits")]
fn forget_lifetime(body: Body<'_>) -> Body<'static> {
    // SAFETY: the two types differ in nothing but the lifetime. The body is only ever held by a `Counted`, whose count
    // falls after the body was run or dropped, and `run` returns or unwinds only once all counts of the scope fell;
    // what the body borrows outlives the call of `run` by the bound `'scope`.
    unsafe { std::mem::transmute::<Body<'_>, Body<'static>>(body) }
}

/// Opens a scope, runs `body` in it and waits for its tasks, whatever happens. The first panic of a task is passed on.
pub(super) fn run<'scope, T>(pool: &Arc<Inner>, body: impl FnOnce(&Scope<'scope>) -> T) -> T {
    let scope =
        Scope { pool: Arc::clone(pool), pending: Arc::default(), tasks: Mutex::default(), lifetime: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    scope.wait();
    let panic = locked(&scope.pending.state).panic.take();
    match (result, panic) {
        (Err(payload), _) | (Ok(_), Some(payload)) => resume_unwind(payload),
        (Ok(value), None) => value,
    }
}
