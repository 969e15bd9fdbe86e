//! Compute beside the event loop. A job starts on the pool at its virtual start; the event loop needs the result
//! only at its virtual end, and while it waits it computes too. Results are pure functions of the job, so
//! neither the number of threads nor who computes what can change them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// A computation that somebody will need.
struct Task<T> {
    claimed: AtomicBool,
    slot: Mutex<Slot<T>>,
    done: Condvar,
}

struct Slot<T> {
    work: Option<Box<dyn FnOnce() -> T + Send>>,
    result: Option<T>,
}

trait Claim: Send + Sync {
    /// Computes, unless somebody else does or did.
    fn try_run(&self) -> bool;
    fn is_claimed(&self) -> bool;
}

impl<T: Send> Claim for Task<T> {
    fn try_run(&self) -> bool {
        if self.claimed.swap(true, Ordering::AcqRel) {
            return false;
        }
        let work = self.slot.lock().expect("no job panics while it holds its slot").work.take();
        let result = work.expect("a job is claimed once")();
        self.slot.lock().expect("no job panics while it holds its slot").result = Some(result);
        self.done.notify_all();
        true
    }

    fn is_claimed(&self) -> bool {
        self.claimed.load(Ordering::Acquire)
    }
}

/// The promise of a result.
pub struct Handle<T>(Arc<Task<T>>);

impl<T> Handle<T> {
    /// Whether the result is there.
    pub fn is_done(&self) -> bool {
        self.0.slot.lock().expect("no job panics while it holds its slot").result.is_some()
    }
}

/// The compute threads, and the jobs that nobody has begun.
pub struct Pool {
    threads: Option<rayon::ThreadPool>,
    count: usize,
    queue: VecDeque<Arc<dyn Claim>>,
}

impl Pool {
    /// A pool that computes on `threads` threads, the caller's own among them while it waits; 0 for all cores.
    pub fn new(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let wanted = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let threads = if wanted > 1 {
            Some(rayon::ThreadPoolBuilder::new().num_threads(wanted - 1).build()?)
        } else {
            None
        };
        Ok(Self { threads, count: wanted, queue: VecDeque::new() })
    }

    /// A pool that computes without the caller, for the real clock.
    pub fn detached(threads: usize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let count = pool.current_num_threads();
        Ok(Self { threads: Some(pool), count, queue: VecDeque::new() })
    }

    /// Threads that compute, the caller's own among them while it waits.
    pub fn threads(&self) -> usize {
        self.count
    }

    /// A computation that is done when its result is waited for.
    pub fn later<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Handle<T> {
        Handle(task(work))
    }

    /// Starts a computation.
    pub fn start<T: Send + 'static>(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Handle<T> {
        let task = task(work);
        while self.queue.front().is_some_and(|task| task.is_claimed()) {
            self.queue.pop_front();
        }
        self.queue.push_back(Arc::clone(&task) as Arc<dyn Claim>);
        if let Some(threads) = &self.threads {
            let task = Arc::clone(&task);
            threads.spawn_fifo(move || {
                task.try_run();
            });
        }
        Handle(task)
    }

    /// The result; computes it or, while another thread does, other jobs.
    pub fn wait<T: Send + 'static>(&mut self, handle: Handle<T>) -> T {
        handle.0.try_run();
        loop {
            if let Some(result) =
                handle.0.slot.lock().expect("no job panics while it holds its slot").result.take()
            {
                return result;
            }
            match self.queue.pop_front() {
                Some(other) => {
                    other.try_run();
                }
                None => {
                    let slot = handle.0.slot.lock().expect("no job panics while it holds its slot");
                    let mut slot = handle
                        .0
                        .done
                        .wait_while(slot, |slot| slot.result.is_none())
                        .expect("no job panics while it holds its slot");
                    return slot.result.take().expect("waited for it");
                }
            }
        }
    }
}

fn task<T>(work: impl FnOnce() -> T + Send + 'static) -> Arc<Task<T>> {
    Arc::new(Task {
        claimed: AtomicBool::new(false),
        slot: Mutex::new(Slot { work: Some(Box::new(work)), result: None }),
        done: Condvar::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_result_arrives_whatever_the_threads_and_the_order() {
        for threads in [1, 2, 4] {
            let mut pool = Pool::new(threads).unwrap();
            let handles: Vec<Handle<u64>> = (0..200u64).map(|i| pool.start(move || i * i)).collect();
            let results: Vec<u64> = handles.into_iter().rev().map(|h| pool.wait(h)).collect();
            assert_eq!(results, (0..200u64).rev().map(|i| i * i).collect::<Vec<_>>(), "{threads} threads");
        }
    }
}
