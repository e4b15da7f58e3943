//! The pool against others: what a task costs, and how much work gets done.
//!
//! `overhead`: empty tasks, so that only the pool is left. `throughput`: tasks of known kinds, the adaptive pool against
//! fixed ones. Fixed pools: a plain channel, rayon, `threadpool`. All have as many threads as there are cores, or as a
//! row says. The adaptive pool is warm: what it takes to find its size is measured by `aether-bench targets`.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use aether_bench::pool::{AdaptivePool, PoolConfig};
use aether_bench::workloads::Burn;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_channel::Sender;

type Job = Box<dyn FnOnce() + Send>;
type Body = Arc<dyn Fn() + Send + Sync>;

trait Pool {
    fn submit(&self, job: Job);
}

impl Pool for AdaptivePool {
    fn submit(&self, job: Job) {
        drop(AdaptivePool::submit(self, job).expect("the pool is open"));
    }
}

struct Channel(Sender<Job>);

impl Channel {
    fn new(workers: usize) -> Self {
        let (jobs, queue) = crossbeam_channel::unbounded::<Job>();
        for _ in 0..workers {
            let queue = queue.clone();
            std::thread::spawn(move || queue.into_iter().for_each(|job| job()));
        }
        Self(jobs)
    }
}

impl Pool for Channel {
    fn submit(&self, job: Job) {
        self.0.send(job).expect("the workers listen");
    }
}

impl Pool for rayon::ThreadPool {
    fn submit(&self, job: Job) {
        self.spawn(job);
    }
}

impl Pool for threadpool::ThreadPool {
    fn submit(&self, job: Job) {
        self.execute(job);
    }
}

fn adaptive(max_workers: usize) -> AdaptivePool {
    let config = PoolConfig { max_workers, ..PoolConfig::default() };
    AdaptivePool::new(config).expect("the bounds are fine")
}

fn pools(workers: usize) -> Vec<(&'static str, Box<dyn Pool>)> {
    let rayon = rayon::ThreadPoolBuilder::new().num_threads(workers).build();
    vec![
        ("adaptive", Box::new(adaptive(workers))),
        ("adaptive-fixed", Box::new(AdaptivePool::fixed(workers).expect("one thread at least"))),
        ("channel", Box::new(Channel::new(workers))),
        ("rayon", Box::new(rayon.expect("one thread at least"))),
        ("threadpool", Box::new(threadpool::ThreadPool::new(workers))),
    ]
}

/// Submits `tasks` copies of a task and waits for all of them.
fn run(pool: &dyn Pool, tasks: usize, task: &Body) {
    let left = Arc::new(AtomicUsize::new(tasks));
    let caller = std::thread::current();
    for _ in 0..tasks {
        let (left, task, caller) = (Arc::clone(&left), Arc::clone(task), caller.clone());
        pool.submit(Box::new(move || {
            task();
            if left.fetch_sub(1, Relaxed) == 1 {
                caller.unpark();
            }
        }));
    }
    while left.load(Relaxed) > 0 {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

fn overhead(criterion: &mut Criterion) {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let tasks = 10_000;
    let empty: Body = Arc::new(|| {
        black_box(());
    });
    let mut group = criterion.benchmark_group("pool-overhead");
    group.throughput(Throughput::Elements(tasks as u64));
    for (name, pool) in pools(cores) {
        group.bench_function(name, |bencher| bencher.iter(|| run(&*pool, tasks, &empty)));
    }
    group.finish();
}

fn throughput(criterion: &mut Criterion) {
    let burn = Burn::lasting(Duration::from_micros(100));
    let kinds: [(&str, usize, Body); 2] = [
        ("compute-100us", 400, Arc::new(move || burn.run())),
        ("sleep-1ms", 640, Arc::new(|| std::thread::sleep(Duration::from_millis(1)))),
    ];
    for (kind, tasks, task) in &kinds {
        let mut group = criterion.benchmark_group(format!("pool-throughput/{kind}"));
        group.throughput(Throughput::Elements(*tasks as u64)).sample_size(20);
        for workers in [2, 32] {
            for (name, pool) in pools(workers) {
                group.bench_function(BenchmarkId::new(name, workers), |bencher| {
                    bencher.iter(|| run(&*pool, *tasks, task));
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, overhead, throughput);
criterion_main!(benches);
