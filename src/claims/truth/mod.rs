//! Models whose robustness, optimum or posterior is known exactly: what the claims are judged against.

pub(super) mod linear_vae;
pub(super) mod mixture;
pub(super) mod optimum;
pub(super) mod relu;
pub(super) mod small_network;
pub(super) mod tempered;
