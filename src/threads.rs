//! Work spread over a fixed number of threads, with results that never depend on that number.
//!
//! Work is cut into pieces by its size alone; each piece is computed by one thread; results are joined in order.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use rayon::prelude::*;

/// Makes every matrix product run on the thread that asks for it, in this process: the work is spread over threads in
/// larger pieces, and candle would otherwise ask the system for its processor count at each product. To be called before
/// any other thread exists; leaving it out changes speed, not results.
pub fn run_products_on_one_thread() {
    std::env::set_var("RAYON_NUM_THREADS", "1");
}

/// A pool of threads.
#[derive(Debug)]
pub struct Workers {
    pool: rayon::ThreadPool,
}

impl Workers {
    /// A pool of `threads` threads; `None` takes as many as the machine offers.
    ///
    /// # Errors
    /// If the system refuses the threads.
    pub fn new(threads: Option<NonZeroUsize>) -> Result<Self, rayon::ThreadPoolBuildError> {
        let threads = threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        Ok(Self { pool: rayon::ThreadPoolBuilder::new().num_threads(threads).build()? })
    }

    /// How many threads there are.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// `work(0)`, …, `work(count − 1)`, in order. The first error in that order wins.
    ///
    /// # Errors
    /// Whatever `work` returns.
    pub fn map<R: Send, E: Send>(
        &self,
        count: usize,
        work: impl Fn(usize) -> Result<R, E> + Sync,
    ) -> Result<Vec<R>, E> {
        // Handing work to a pool costs more than many a small piece of work.
        if count <= 1 || self.threads() == 1 {
            return (0..count).map(work).collect();
        }
        let results: Vec<Result<R, E>> = self.pool.install(|| (0..count).into_par_iter().map(&work).collect());
        results.into_iter().collect()
    }

    /// Computes `work(item)` for every item on all threads and hands the results to `sink` in the items' order, each
    /// as soon as its turn has come. Stops early when `sink` fails.
    ///
    /// # Errors
    /// The first error of `sink`.
    pub fn stream<T: Sync, R: Send, E>(
        &self,
        items: &[T],
        work: impl Fn(&T) -> R + Sync,
        mut sink: impl FnMut(R) -> Result<(), E>,
    ) -> Result<(), E> {
        let (next, stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (sender, receiver) = mpsc::channel::<(usize, R)>();
        std::thread::scope(|scope| {
            for _ in 0..self.threads().min(items.len()) {
                let (work, next, stopped, sender) = (&work, &next, &stopped, sender.clone());
                scope.spawn(move || {
                    let _guard = StopOnPanic(stopped);
                    while !stopped.load(Ordering::Relaxed) {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(index) else { return };
                        if sender.send((index, work(item))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let mut waiting = BTreeMap::new();
            let mut turn = 0;
            for (index, result) in receiver {
                waiting.insert(index, result);
                while let Some(result) = waiting.remove(&turn) {
                    turn += 1;
                    if let Err(error) = sink(result) {
                        stopped.store(true, Ordering::Relaxed);
                        return Err(error);
                    }
                }
            }
            Ok(())
        })
    }
}

/// Stops the other threads when one panics; the panic itself goes on to the caller.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workers(threads: usize) -> Workers {
        Workers::new(NonZeroUsize::new(threads)).unwrap()
    }

    #[test]
    fn results_come_in_order_on_any_number_of_threads() {
        let items: Vec<u64> = (0..50).collect();
        for threads in [1, 2, 5] {
            let mut seen = Vec::new();
            let slow_start = |&item: &u64| {
                std::thread::sleep(std::time::Duration::from_millis(u64::from(item < 2) * 5));
                item * item
            };
            workers(threads)
                .stream(&items, slow_start, |r| {
                    seen.push(r);
                    Ok::<_, ()>(())
                })
                .unwrap();
            assert_eq!(seen, items.iter().map(|i| i * i).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_failing_sink_stops_the_work() {
        let items: Vec<u32> = (0..10_000).collect();
        let calls = AtomicUsize::new(0);
        let work = |&item: &u32| {
            calls.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(std::time::Duration::from_micros(50));
            item
        };
        let result = workers(2).stream(&items, work, |item| if item == 3 { Err("full") } else { Ok(()) });
        assert_eq!(result, Err("full"));
        assert!(calls.load(Ordering::Relaxed) < items.len());
    }

    #[test]
    fn the_first_error_in_order_wins() {
        let outcome = workers(2).map(100, |i| if i % 7 == 6 { Err(i) } else { Ok(i) });
        assert_eq!(outcome, Err(6));
        assert_eq!(workers(2).map(3, Ok::<_, ()>), Ok(vec![0, 1, 2]));
        assert_eq!(workers(1).map(100, |i| if i % 7 == 6 { Err(i) } else { Ok(i) }), Err(6));
    }
}
