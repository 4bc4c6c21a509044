//! The specification from outside: what users see, what theory knows, what must be refused, and which module may
//! depend on which.

#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp)]

mod architecture;
mod audit;
mod certificates;
mod claims;
mod cli;
mod fuzz;
mod oracle;
mod reject;
mod report;
mod runs;
mod support;
