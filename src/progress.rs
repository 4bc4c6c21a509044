//! How long work reports that it is alive. The library is silent; a terminal draws (see [`crate::cli`]).

/// Receives progress. Every method has a silent default.
pub trait Progress {
    /// Work of `total` steps of this kind (`"epochs"`, `"inputs"`) begins; `done` of them are finished already.
    fn begin(&mut self, kind: &'static str, total: usize, done: usize) {
        let _ = (kind, total, done);
    }

    /// One more step is finished; `detail` is one line for people.
    fn step(&mut self, detail: &str) {
        let _ = detail;
    }

    /// The work is over, for better or worse.
    fn end(&mut self) {}
}

/// Reports nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}
