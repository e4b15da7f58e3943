//! The threads of a pool that makes its own.
//!
//! *Invariant:* a thread the gate counts on exists or is reported to it as not started; every thread is joined by
//! [`Inner::shut_down`], except one that calls it.

use std::cell::Cell;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::PoolConfig;
use super::controller::Watch;
use super::crew::Crew;
use super::gate::{Close, Gate, Next, Start};
use super::task::Runnable;

thread_local! {
    /// The pool this thread works for, by address; 0 for none.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// What the pool's handles and threads share.
pub(crate) struct Inner {
    pub(super) crew: Crew<Arc<dyn Runnable>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic runs under this lock.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(super) fn new(config: PoolConfig) -> io::Result<Arc<Self>> {
        let inner = Arc::new(Self { crew: Crew::new(config, Gate::new), threads: Mutex::default() });
        let started = (0..inner.crew.controller.target()).try_for_each(|_| inner.spawn()).and_then(|()| {
            if inner.crew.config.min_workers == inner.crew.config.max_workers {
                return Ok(()); // Nothing to control.
            }
            let copy = Arc::clone(&inner);
            inner.spawn_named("controller", move || copy.control())
        });
        if let Err(error) = started {
            // Those that did start must not wait for work that will never come.
            inner.shut_down(Close::Abandon);
            return Err(error);
        }
        Ok(inner)
    }

    fn control(self: &Arc<Self>) {
        let mut watch = Watch::new();
        while let Some(start) = self.crew.controller.next(&self.crew, &mut watch) {
            self.start(&start);
        }
    }

    /// Whether the calling thread is one of the workers.
    pub(crate) fn is_current(&self) -> bool {
        CURRENT.get() == std::ptr::from_ref(self).addr()
    }

    /// Queues a task; false if the pool takes no more.
    pub(super) fn submit(self: &Arc<Self>, task: Arc<dyn Runnable>) -> bool {
        let Ok(start) = self.crew.push(task) else {
            return false;
        };
        self.start(&start);
        true
    }

    /// Runs `function`, with another worker in this one's place meanwhile if this thread is a worker.
    pub(crate) fn blocking<T>(self: &Arc<Self>, function: impl FnOnce() -> T) -> T {
        struct Unblock<'a>(&'a Inner);
        impl Drop for Unblock<'_> {
            fn drop(&mut self) {
                self.0.crew.gate.end_blocking();
            }
        }
        if !self.is_current() {
            return function();
        }
        let start = self.crew.gate.begin_blocking();
        let _unblock = Unblock(self);
        self.start(&start);
        function()
    }

    /// Starts the threads that the gate has counted.
    pub(super) fn start(self: &Arc<Self>, start: &Start) {
        for _ in 0..start.threads() {
            if self.spawn().is_err() {
                // The system has no more threads: those that live do the work.
                self.crew.gate.not_started();
            }
        }
    }

    fn spawn(self: &Arc<Self>) -> io::Result<()> {
        let inner = Arc::clone(self);
        self.spawn_named("worker", move || inner.work())
    }

    fn spawn_named(&self, role: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let name = format!("{}-{role}", self.crew.config.name);
        let thread = std::thread::Builder::new().name(name).spawn(body)?;
        let mut threads = locked(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    fn work(&self) {
        CURRENT.set(std::ptr::from_ref(self).addr());
        let member = self.crew.enlist();
        while let Next::Run(queued) = self.crew.next(&member) {
            self.crew.begin(&member);
            if queued.job.run() {
                self.crew.end(&member, queued.submitted_ns);
            } else {
                member.skip();
            }
        }
        self.crew.retire(&member);
    }

    /// Takes no more tasks, ends the threads and waits for them. Safe to call twice, and from a task.
    pub(super) fn shut_down(&self, how: Close) {
        for queued in self.crew.gate.close(how) {
            queued.job.cancel();
        }
        self.crew.controller.stop();
        loop {
            // Not joined under the lock: a worker that is just starting another takes it too.
            let Some(thread) = locked(&self.threads).pop() else {
                return;
            };
            if thread.thread().id() != std::thread::current().id() {
                // Workers catch what tasks throw: a panic here is ours, and was printed.
                thread.join().unwrap_or_default();
            }
        }
    }
}
