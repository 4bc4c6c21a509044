//! How far the code can move: the encoder's Jacobian, the region in which it is exact, and bounds for any distance.

pub mod jacobian;
pub mod linear_region;
pub mod rounded_map;
pub mod rounded_network;
pub mod scalings;
pub mod secant;
mod shares;
pub mod slope_interval;
mod twofold;
mod wide;

pub use jacobian::{decoder_gram, decoder_jacobian, encoder_jacobian, network_jacobian};
pub use linear_region::linear_region_radius;
pub use rounded_network::{RoundedNetwork, RoundedVae};
pub use scalings::{find_scalings, Rounds};
pub use slope_interval::{Reach, ReachError, SlopeInterval};

#[cfg(test)]
mod convolution_tests;
#[cfg(test)]
mod tests;
