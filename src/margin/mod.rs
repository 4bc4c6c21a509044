//! What can be measured about an input's margin: the probability of staying within r, the radius r itself, and the
//! smallest perturbation that an attack found to break robustness.

pub mod draws;
pub mod empirical;
pub mod radius;

pub use draws::{sample_distances, DrawCounts, Judge};
pub use empirical::{search_margin, MarginSearch, Protocol, SearchPlan};
pub use radius::{minimum_radius, MinimumRadius, RadiusRule};
