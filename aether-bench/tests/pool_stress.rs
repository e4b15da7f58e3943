//! The pool under abuse: nothing lost, nothing twice, no hang.
//!
//! One million tasks in all, less under a debugger's patience: `AETHER_STRESS=1` runs ten times as many. No test asserts
//! how fast anything is; a hang is a test that does not end.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use aether_bench::pool::{AdaptivePool, PoolConfig, TaskError};
use aether_bench::stats::rng::Rng;

fn factor() -> usize {
    if std::env::var_os("AETHER_STRESS").is_some() { 10 } else { 1 }
}

fn pool(min: usize, max: usize) -> AdaptivePool {
    let config = PoolConfig {
        max_workers: max,
        min_workers: min,
        idle_timeout: Duration::from_millis(50),
        monitor_interval: Duration::from_millis(1),
        ..PoolConfig::default()
    };
    AdaptivePool::new(config).expect("the bounds are fine")
}

/// Panics that are part of a test are not worth a screen of backtrace each.
fn quiet_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
                usual(info);
            }
        }));
    });
}

fn counters(count: usize) -> Arc<Vec<AtomicU32>> {
    Arc::new((0..count).map(|_| AtomicU32::new(0)).collect())
}

/// 600 000 tasks from four threads with random panics, while a fifth changes the bounds at random.
#[test]
fn panics_and_resizes_lose_nothing() {
    quiet_panics();
    let submitters = 4;
    let each = 150_000 * factor();
    let pool = Arc::new(pool(1, 8));
    let ran = counters(submitters * each);
    let resizer = {
        let pool = Arc::clone(&pool);
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut rng = Rng::new(5);
            while stopped.recv_timeout(Duration::from_millis(1)) == Err(mpsc::RecvTimeoutError::Timeout) {
                let min = 1 + rng.below(4);
                pool.set_bounds(min, min + rng.below(12)).expect("the bounds are fine");
            }
        });
        (stop, thread)
    };
    let threads: Vec<_> = (0..submitters)
        .map(|submitter| {
            let (pool, ran) = (Arc::clone(&pool), Arc::clone(&ran));
            std::thread::spawn(move || submit_and_join(&pool, &ran, submitter * each, each))
        })
        .collect();
    for thread in threads {
        thread.join().expect("every result was as expected");
    }
    drop(resizer.0);
    resizer.1.join().expect("the resizer does not panic");
    pool.shutdown();
    assert!(ran.iter().all(|count| count.load(Relaxed) == 1), "some task was lost or ran twice");
    assert_eq!(pool.metrics().completed, (submitters * each) as u64);
    assert_eq!(pool.metrics().live, 0);
}

fn submit_and_join(pool: &AdaptivePool, ran: &Arc<Vec<AtomicU32>>, first: usize, count: usize) {
    let mut rng = Rng::new(first as u64 + 1);
    let mut handles = Vec::new();
    for index in first..first + count {
        let ran = Arc::clone(ran);
        let panics = rng.below(50) == 0;
        let task = move || {
            ran[index].fetch_add(1, Relaxed);
            assert!(!panics, "on purpose");
            index
        };
        handles.push((index, panics, pool.submit(task).expect("the pool is open")));
        if handles.len() == 500 {
            join_all(&mut handles);
        }
    }
    join_all(&mut handles);
}

type Expected = (usize, bool, aether_bench::pool::TaskHandle<usize>);

fn join_all(handles: &mut Vec<Expected>) {
    for (index, panics, handle) in handles.drain(..) {
        match handle.join() {
            Ok(result) => assert!(!panics && result == index),
            Err(TaskError::Panicked(_)) => assert!(panics),
            Err(TaskError::Cancelled) => panic!("nobody cancelled task {index}"),
        }
    }
}

/// 200 000 tasks in pools that are dropped while most are still queued: dropping runs them all.
#[test]
fn dropping_a_pool_in_mid_flight_runs_everything() {
    for round in 0..20 * factor() {
        let tasks = 10_000;
        let ran = Arc::new(AtomicUsize::new(0));
        let pool = pool(1, 1 + round % 6);
        for _ in 0..tasks {
            let ran = Arc::clone(&ran);
            drop(pool.submit(move || ran.fetch_add(1, Relaxed)).expect("the pool is open"));
        }
        drop(pool);
        assert_eq!(ran.load(Relaxed), tasks);
    }
}

/// 200 000 tasks submitted while the pool is shut down at a random moment: each runs, or its handle says that it did not.
#[test]
fn shutting_down_under_load_accounts_for_every_task() {
    for round in 0..20 * factor() {
        let pool = Arc::new(pool(1, 4));
        let ran = Arc::new(AtomicUsize::new(0));
        let start = Arc::new(Barrier::new(3));
        let submitters: Vec<_> = (0..2)
            .map(|_| {
                let (pool, ran, start) = (Arc::clone(&pool), Arc::clone(&ran), Arc::clone(&start));
                std::thread::spawn(move || {
                    start.wait();
                    let mut cancelled = 0;
                    let mut accepted = 0;
                    let mut handles = Vec::new();
                    for _ in 0..5_000 {
                        let ran = Arc::clone(&ran);
                        let Ok(handle) = pool.submit(move || ran.fetch_add(1, Relaxed)) else {
                            break;
                        };
                        accepted += 1;
                        handles.push(handle);
                    }
                    for handle in handles {
                        cancelled += usize::from(matches!(handle.join(), Err(TaskError::Cancelled)));
                    }
                    accepted - cancelled
                })
            })
            .collect();
        start.wait();
        std::thread::sleep(Duration::from_micros(100 * (round as u64 % 20)));
        pool.shutdown_now();
        let finished: usize = submitters.into_iter().map(|thread| thread.join().expect("no panic")).sum();
        assert_eq!(finished, ran.load(Relaxed));
    }
}

#[test]
fn tasks_that_wait_for_tasks_never_stand_still() {
    fn fibonacci(pool: &Arc<AdaptivePool>, n: u64) -> u64 {
        if n < 2 {
            return n;
        }
        let copy = Arc::clone(pool);
        let left = pool.submit(move || fibonacci(&copy, n - 1)).expect("the pool is open");
        let right = fibonacci(pool, n - 2);
        left.join().expect("no panic") + right
    }
    // One worker only: it has to run what it waits for.
    let pool = Arc::new(pool(1, 1));
    let copy = Arc::clone(&pool);
    let root = pool.submit(move || fibonacci(&copy, 15)).expect("the pool is open");
    assert_eq!(root.join().expect("no panic"), 610);
}

#[test]
fn declared_blockers_are_made_up_for() {
    // Two tasks that only end when both run, on one worker.
    let pool = Arc::new(pool(1, 1));
    let both = Arc::new(Barrier::new(2));
    let handles: Vec<_> = (0..2)
        .map(|_| {
            let (copy, both) = (Arc::clone(&pool), Arc::clone(&both));
            pool.submit(move || copy.blocking(|| both.wait().is_leader())).expect("the pool is open")
        })
        .collect();
    let leaders = handles.into_iter().filter(|_| true).map(|handle| handle.join().expect("no panic"));
    assert_eq!(leaders.filter(|leader| *leader).count(), 1);
}

#[test]
fn map_is_ordered_lazy_and_bounded() {
    let pool = pool(1, 4);
    let taken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&taken);
    let endless = (0_u64..).inspect(move |_| {
        counter.fetch_add(1, Relaxed);
    });
    let squares: Vec<u64> = pool.map(endless, |n| n * n).take(100).map(|result| result.expect("no panic")).collect();
    assert_eq!(squares, (0..100).map(|n| n * n).collect::<Vec<_>>());
    assert!(taken.load(Relaxed) <= 100 + 2 * 16, "{} items were taken", taken.load(Relaxed));
}

#[test]
fn scopes_lend_what_the_caller_owns_and_pass_panics_on() {
    quiet_panics();
    let pool = pool(1, 4);
    let mut squares = vec![0_usize; 1_000];
    pool.scope(|scope| {
        for (index, slot) in squares.iter_mut().enumerate() {
            scope.spawn(move || *slot = index * index);
        }
    });
    assert!(squares.iter().enumerate().all(|(index, square)| *square == index * index));
    let done = AtomicUsize::new(0);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.scope(|scope| {
            for index in 0..100 {
                let done = &done;
                scope.spawn(move || {
                    done.fetch_add(1, Relaxed);
                    assert!(index != 50, "on purpose");
                });
            }
        });
    }));
    assert!(outcome.is_err());
    assert_eq!(done.load(Relaxed), 100, "the others ran all the same");
}

#[test]
fn a_scope_on_the_only_worker_does_not_wait_for_itself() {
    let pool = Arc::new(pool(1, 1));
    let copy = Arc::clone(&pool);
    let task = move || {
        let sum = AtomicUsize::new(0);
        copy.scope(|scope| {
            for n in 1..=10 {
                let sum = &sum;
                scope.spawn(move || {
                    sum.fetch_add(n, Relaxed);
                });
            }
        });
        sum.into_inner()
    };
    assert_eq!(pool.submit(task).expect("open").join().expect("no panic"), 55);
}

#[test]
fn cancelling_is_for_tasks_that_have_not_begun() {
    let pool = pool(1, 1);
    let (go, wait) = mpsc::channel::<()>();
    let (began, begun) = mpsc::channel();
    let running = pool
        .submit(move || {
            began.send(()).expect("the test waits");
            wait.recv().ok();
        })
        .expect("open");
    begun.recv().expect("the task begins");
    let queued = pool.submit(|| 1).expect("open");
    assert!(queued.cancel() && !queued.cancel());
    assert!(!running.cancel());
    assert!(matches!(queued.join(), Err(TaskError::Cancelled)));
    drop(go);
    running.join().expect("no panic");
    assert!(pool.submit(|| ()).expect("open").join_timeout(Duration::from_mins(1)).is_ok());
    pool.shutdown();
    assert!(pool.submit(|| ()).is_err());
}

#[test]
fn a_pool_may_end_in_one_of_its_own_tasks() {
    let pool = Arc::new(pool(1, 2));
    let (send, receive) = mpsc::channel();
    let last = Arc::clone(&pool);
    drop(pool.submit(move || {
        while Arc::strong_count(&last) > 1 {
            std::thread::yield_now();
        }
        drop(last);
        send.send(()).ok();
    }));
    drop(pool);
    receive.recv().expect("the task ends");
}

#[test]
fn metrics_add_up_when_the_work_is_done() {
    let pool = pool(2, 2);
    for _ in 0..100 {
        pool.submit(|| ()).expect("open").join().expect("no panic");
    }
    pool.shutdown();
    let metrics = pool.metrics();
    assert_eq!((metrics.completed, metrics.queued, metrics.active, metrics.target), (100, 0, 0, 2));
    assert!(metrics.latency_p99.expect("tasks ran") > Duration::ZERO);
    let bad = PoolConfig { min_workers: 3, max_workers: 2, ..PoolConfig::default() };
    assert!(AdaptivePool::new(bad).is_err());
}
