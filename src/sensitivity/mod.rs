//! How far the code can move: the encoder's Jacobian, and the region in which it is exact.

pub mod jacobian;
pub mod linear_region;
pub mod rounded_network;
pub mod scalings;
pub mod secant;
pub mod slope_interval;

pub use jacobian::{decoder_gram, decoder_jacobian, encoder_jacobian, network_jacobian};
pub use linear_region::linear_region_radius;

#[cfg(test)]
mod tests;
