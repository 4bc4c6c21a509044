//! Models: from a list of layers to a VAE in a file.

pub mod activation;
mod adam;
pub mod architecture;
pub mod device;
mod direct;
pub mod elementary;
pub mod embedded;
pub mod file;
pub(crate) mod kernel;
pub mod layer;
pub mod network;
pub mod objective;
mod places;
mod product;
pub mod train;
pub mod vae;

pub use activation::Activation;
pub use architecture::Architecture;
pub use file::{Model, ModelError};
pub use network::Network;
pub use vae::Vae;

#[cfg(test)]
mod tests;
