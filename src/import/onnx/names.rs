//! What outputs are called, and what that says about them.

use std::str::FromStr;

/// What a file gives for the standard deviation σ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StdKind {
    /// σ itself.
    Std,
    /// log σ².
    LogVariance,
    /// log σ.
    LogStd,
}

/// One output that holds mean and standard deviation side by side, each a half of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConcatenatedHeads {
    /// What the half of the standard deviation is.
    pub kind: StdKind,
    /// Whether the mean is the first half.
    pub mean_first: bool,
}

/// A text that does not say what the two halves of an output are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} does not say what the two halves of an output are; expected mean,logvar or mean,logstd or mean,std, or the other way round")]
pub struct ConcatenatedHeadsError {
    /// The text.
    pub found: String,
}

impl FromStr for ConcatenatedHeads {
    type Err = ConcatenatedHeadsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = || ConcatenatedHeadsError { found: text.to_owned() };
        let (first, second) = text.split_once(',').ok_or_else(fault)?;
        match (Role::of(first.trim()), Role::of(second.trim())) {
            (Some(Role::Mean), Some(Role::Std(kind))) => Ok(Self { kind, mean_first: true }),
            (Some(Role::Std(kind)), Some(Role::Mean)) => Ok(Self { kind, mean_first: false }),
            _ => Err(fault()),
        }
    }
}

/// Names that the user gives where those in the file leave a doubt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OnnxNames {
    /// The output that is the code's mean.
    pub mean_output: Option<String>,
    /// The output for the code's standard deviation, and what it is.
    pub std: Option<(StdKind, String)>,
    /// The input of the encoder, or of the whole model.
    pub input: Option<String>,
    /// The input of the decoder.
    pub latent_input: Option<String>,
    /// An input that is standard normal noise.
    pub noise_input: Option<String>,
    /// The output that is the reconstruction.
    pub reconstruction_output: Option<String>,
    /// What the halves of a single output are.
    pub heads: Option<ConcatenatedHeads>,
}

/// What an output is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Mean,
    Std(StdKind),
    Reconstruction,
}

const MEANS: &[&str] =
    &["mu", "mean", "means", "zmean", "zmu", "muz", "meanz", "loc", "zloc", "qmu", "qmean", "latentmean", "codemean"];
const LOG_VARIANCES: &[&str] = &[
    "logvar",
    "logvariance",
    "zlogvar",
    "zlogvariance",
    "logvarz",
    "logsigma2",
    "logsigmasq",
    "logsigmasquared",
    "zlogsigma2",
    "lnvar",
    "qlogvar",
    "latentlogvar",
    "logstd2",
];
const LOG_STDS: &[&str] = &["logstd", "logsigma", "zlogstd", "zlogsigma", "logscale", "zlogscale", "lnstd", "qlogstd"];
const STDS: &[&str] =
    &["std", "sigma", "scale", "zstd", "zsigma", "zscale", "stddev", "stdev", "sd", "zstddev", "qstd", "latentstd"];
const RECONSTRUCTIONS: &[&str] = &[
    "reconstruction",
    "reconstructions",
    "recon",
    "reconx",
    "xrecon",
    "xhat",
    "decoded",
    "xreconstructed",
    "reconstructed",
    "rec",
    "xrec",
    "xprime",
];

impl Role {
    /// By the last part of a name, capitals and separators aside; none where the name leaves a doubt.
    pub(super) fn of(name: &str) -> Option<Self> {
        let name = name.split_once(':').map_or(name, |(name, _)| name);
        let last = name.rsplit(['/', '.']).next().unwrap_or(name);
        let plain: String = last.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        let is_one_of = |names: &[&str]| names.contains(&plain.as_str());
        if is_one_of(MEANS) {
            Some(Self::Mean)
        } else if is_one_of(LOG_VARIANCES) {
            Some(Self::Std(StdKind::LogVariance))
        } else if is_one_of(LOG_STDS) {
            Some(Self::Std(StdKind::LogStd))
        } else if is_one_of(STDS) {
            Some(Self::Std(StdKind::Std))
        } else if is_one_of(RECONSTRUCTIONS) {
            Some(Self::Reconstruction)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_use_are_known() {
        for (name, role) in [
            ("mu", Role::Mean),
            ("z_mean:0", Role::Mean),
            ("encoder/loc", Role::Mean),
            ("z_log_var", Role::Std(StdKind::LogVariance)),
            ("LogSigma2", Role::Std(StdKind::LogVariance)),
            ("log_std", Role::Std(StdKind::LogStd)),
            ("sigma", Role::Std(StdKind::Std)),
            ("x_hat", Role::Reconstruction),
        ] {
            assert_eq!(Role::of(name), Some(role), "{name}");
        }
        for name in ["dense_3", "output", "variance", "m", ""] {
            assert_eq!(Role::of(name), None, "{name}");
        }
    }

    #[test]
    fn halves_are_said_in_either_order() {
        let heads = |kind, mean_first| ConcatenatedHeads { kind, mean_first };
        assert_eq!("mean,logvar".parse(), Ok(heads(StdKind::LogVariance, true)));
        assert_eq!("std, mu".parse(), Ok(heads(StdKind::Std, false)));
        let bad: Result<ConcatenatedHeads, _> = "mean,mean".parse();
        assert!(bad.unwrap_err().to_string().contains("mean,logvar"));
    }
}
