//! What samples prove and what they suggest.
//!
//! [`normal`] is the normal distribution, accurate in both tails. [`clopper_pearson_lower`] and
//! [`clopper_pearson_upper`] turn counts into bounds that hold at the stated failure probability, rounding
//! included, and [`order_statistic_interval`] does the same for quantiles. [`quadratic_form`] is the Gamma sum of
//! Proposition 1, every value with a bound on its error. The rest only summarises: medians,
//! means, correlations and lines are never part of a certificate.

pub mod association;
pub mod binomial;
mod binomial_tail;
pub mod description;
pub mod enclosure;
pub mod mean_interval;
pub mod normal;
pub mod order_statistics;
pub mod quadratic_form;
mod student_t;

pub use association::{least_squares_line, pearson, spearman, Line};
pub use binomial::{clopper_pearson_lower, clopper_pearson_upper, BinomialError, MAX_TRIALS};
pub use description::{lower_median, max, median, min, quantiles, DescriptionError};
pub use enclosure::Enclosure;
pub use mean_interval::{mean_with_interval, MeanInterval};
pub use order_statistics::{order_statistic_interval, quantile_rank, OrderStatisticInterval};
