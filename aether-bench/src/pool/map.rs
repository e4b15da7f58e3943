//! A map over an iterator: parallel, lazy, in order.
//!
//! *Invariant:* at most `look_ahead` items are taken from the input before their turn; results come in input order, each
//! exactly once; dropping the iterator cancels what has not begun.

use std::collections::VecDeque;
use std::sync::Arc;

use super::inner::Inner;
use super::task::{Runnable, Task, TaskError, TaskHandle};

/// See [`AdaptivePool::map`](super::AdaptivePool::map).
pub struct Map<I, F, T> {
    pub(super) pool: Arc<Inner>,
    pub(super) items: I,
    pub(super) function: Arc<F>,
    pub(super) pending: VecDeque<TaskHandle<T>>,
    pub(super) look_ahead: usize,
}

impl<I, F, T> Map<I, F, T>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    fn fill(&mut self) {
        while self.pending.len() < self.look_ahead
            && let Some(item) = self.items.next()
        {
            let function = Arc::clone(&self.function);
            let task = Task::new(Box::new(move || function(item)));
            if !self.pool.submit(Arc::clone(&task) as Arc<dyn Runnable>) {
                task.cancel();
            }
            self.pending.push_back(TaskHandle { task, pool: Arc::clone(&self.pool) });
        }
    }
}

impl<I, F, T> Iterator for Map<I, F, T>
where
    I: Iterator,
    I::Item: Send + 'static,
    F: Fn(I::Item) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    type Item = Result<T, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.fill();
        let first = self.pending.pop_front()?;
        // The place that has become free is used while we wait.
        self.fill();
        Some(first.join())
    }
}

impl<I, F, T> Drop for Map<I, F, T> {
    fn drop(&mut self) {
        for handle in &self.pending {
            handle.task.abandon();
        }
    }
}
