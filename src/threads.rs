//! Work spread over a fixed number of threads, with results that never depend on that number.
//!
//! Work is cut into pieces by its size alone; each piece is computed by one thread; results are joined in order.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{mpsc, Condvar, Mutex, PoisonError};

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
    /// as soon as its turn has come. Stops early when `sink` fails. While one item takes long, no more than
    /// thirty-two times the number of threads are begun after it, so that few results wait in memory.
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
        let (turns, ahead) = (Turns::default(), AHEAD * self.threads());
        let (sender, receiver) = mpsc::channel::<(usize, R)>();
        std::thread::scope(|scope| {
            for _ in 0..self.threads().min(items.len()) {
                let (work, next, stopped, turns, sender) = (&work, &next, &stopped, &turns, sender.clone());
                scope.spawn(move || {
                    let _guard = StopOnPanic(stopped, turns);
                    while !stopped.load(Ordering::Relaxed) {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(item) = items.get(index) else { return };
                        if !turns.wait_for(index.saturating_sub(ahead)) {
                            return;
                        }
                        if sender.send((index, work(item))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            // However this ends, nobody may wait for a turn that never comes.
            let _guard = EndTurns(&turns);
            let mut waiting = BTreeMap::new();
            let mut turn = 0;
            for (index, result) in receiver {
                waiting.insert(index, result);
                while let Some(result) = waiting.remove(&turn) {
                    turn += 1;
                    turns.come_to(turn);
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

/// Items per thread that may be begun before an earlier one is finished.
const AHEAD: usize = 32;

/// Whose turn it is, for those who wait for it.
#[derive(Default)]
struct Turns {
    turn: Mutex<usize>,
    changed: Condvar,
}

impl Turns {
    /// The turn of all that wait.
    const END: usize = usize::MAX;

    /// Waits until it is the turn of `index` or a later one. Whether work goes on.
    fn wait_for(&self, index: usize) -> bool {
        // Nothing panics while the lock is held.
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        while *turn < index {
            turn = self.changed.wait(turn).unwrap_or_else(PoisonError::into_inner);
        }
        *turn != Self::END
    }

    fn come_to(&self, index: usize) {
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *turn = index.max(*turn);
        self.changed.notify_all();
    }
}

/// Lets nobody wait any longer.
struct EndTurns<'a>(&'a Turns);

impl Drop for EndTurns<'_> {
    fn drop(&mut self) {
        self.0.come_to(Turns::END);
    }
}

/// Stops the other threads when one panics; the panic itself goes on to the caller.
struct StopOnPanic<'a>(&'a AtomicBool, &'a Turns);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
            self.1.come_to(Turns::END);
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
    fn few_results_wait_for_a_slow_item() {
        let items: Vec<usize> = (0..2_000).collect();
        let (begun, released) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = |&item: &usize| {
            begun.fetch_add(1, Ordering::SeqCst);
            if item == 0 {
                // Long enough for the others to run as far ahead as they may.
                std::thread::sleep(std::time::Duration::from_millis(100));
                released.store(true, Ordering::SeqCst);
            } else if !released.load(Ordering::SeqCst) {
                assert!(begun.load(Ordering::SeqCst) <= 2 * AHEAD + 2);
            }
            item
        };
        let mut expected = 0;
        let sink = |item| {
            assert_eq!(item, expected);
            expected += 1;
            Ok::<_, ()>(())
        };
        workers(2).stream(&items, work, sink).unwrap();
        assert_eq!(expected, items.len());
    }

    #[test]
    fn a_failing_sink_ends_the_wait_for_a_turn() {
        let items: Vec<usize> = (0..1_000).collect();
        let slow_first = |&item: &usize| {
            std::thread::sleep(std::time::Duration::from_millis(if item == 0 { 50 } else { 0 }));
            item
        };
        assert_eq!(workers(3).stream(&items, slow_first, Err::<(), _>), Err(0));
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
