//! An error on its way to the user: one message and an exit status.

use std::fmt;
use std::io;
use std::path::Path;

use super::exit_code::ExitCode;
use crate::audit::certify::CertifyError;
use crate::audit::linearization::LinearizationError;
use crate::audit::merge::MergeError;
use crate::audit::replay::ReplayError;
use crate::audit::run::RunError;
use crate::audit::PlanError;
use crate::claims::CounterexampleError;
use crate::data::DataError;
use crate::model::architecture::ArchitectureError;
use crate::model::device::DeviceError;
use crate::model::train::TrainError;
use crate::model::ModelError;
use crate::quantity::QuantityError;

/// What ends a command early.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit status.
    pub(crate) code: ExitCode,
    message: String,
}

impl Failure {
    /// A failure with this status and message.
    pub(crate) fn new(code: ExitCode, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }

    /// A file that cannot be written.
    pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Self {
        Self::new(ExitCode::Unreadable, format!("{}: cannot be written: {error}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// stdout cannot be written.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(ExitCode::Unreadable, format!("stdout cannot be written: {error}"))
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let code = match error {
            DataError::UnknownSource { .. }
            | DataError::MissingDirectory { .. }
            | DataError::BadSpecification { .. }
            | DataError::BadOption { .. }
            | DataError::Unsuitable { .. }
            | DataError::SeveralArrays { .. }
            | DataError::NoSuchArray { .. } => ExitCode::Usage,
            _ => ExitCode::Unreadable,
        };
        Self::new(code, error)
    }
}

impl From<ModelError> for Failure {
    fn from(error: ModelError) -> Self {
        Self::new(ExitCode::Unreadable, error)
    }
}

/// A constant of this program that is no quantity.
impl From<QuantityError> for Failure {
    fn from(error: QuantityError) -> Self {
        Self::new(ExitCode::Bug, error)
    }
}

impl From<ArchitectureError> for Failure {
    fn from(error: ArchitectureError) -> Self {
        Self::new(ExitCode::Usage, error)
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        Self::new(ExitCode::Usage, error)
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::new(ExitCode::Usage, error)
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        let code = match error {
            TrainError::Plan { .. }
            | TrainError::Shape { .. }
            | TrainError::Range { .. }
            | TrainError::OtherRun { .. } => ExitCode::Usage,
            TrainError::NonFinite { .. } => ExitCode::NotMet,
            TrainError::Checkpoint(_) => ExitCode::Unreadable,
            _ => ExitCode::Bug,
        };
        Self::new(code, error)
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Output(error) => error.into(),
            RunError::Exists { .. }
            | RunError::OtherRun { .. }
            | RunError::InUse { .. }
            | RunError::NothingToResume { .. }
            | RunError::Range { .. }
            | RunError::NoInputs
            | RunError::Shards { .. }
            | RunError::Shape { .. } => Self::new(ExitCode::Usage, error),
            _ => Self::new(ExitCode::Unreadable, error),
        }
    }
}

impl From<CertifyError> for Failure {
    fn from(error: CertifyError) -> Self {
        match error {
            CertifyError::Output(error) => error.into(),
            CertifyError::Run(error) => error.into(),
            CertifyError::Exists { .. }
            | CertifyError::NothingToResume { .. }
            | CertifyError::InUse { .. }
            | CertifyError::OtherRun { .. } => Self::new(ExitCode::Usage, error),
            CertifyError::Encoding(_) | CertifyError::Tensor(_) => Self::new(ExitCode::Bug, error),
            _ => Self::new(ExitCode::Unreadable, error),
        }
    }
}

impl From<MergeError> for Failure {
    fn from(error: MergeError) -> Self {
        match error {
            MergeError::Run(error) => error.into(),
            MergeError::Certify(error) => error.into(),
            MergeError::Unfinished { .. } => Self::new(ExitCode::Undecided, error),
            _ => Self::new(ExitCode::Usage, error),
        }
    }
}

impl From<CounterexampleError> for Failure {
    fn from(error: CounterexampleError) -> Self {
        Self::new(ExitCode::Unreadable, error)
    }
}

impl From<candle_core::Error> for Failure {
    fn from(error: candle_core::Error) -> Self {
        Self::new(ExitCode::Bug, format!("tensor operation: {error}"))
    }
}

impl From<rayon::ThreadPoolBuildError> for Failure {
    fn from(error: rayon::ThreadPoolBuildError) -> Self {
        Self::new(ExitCode::Usage, format!("the threads cannot be started: {error}; try a smaller --threads"))
    }
}

impl From<ReplayError> for Failure {
    fn from(error: ReplayError) -> Self {
        let code = match error {
            ReplayError::OtherModel { .. } | ReplayError::OtherData { .. } => ExitCode::Usage,
            ReplayError::Tensor(_) => ExitCode::Bug,
            _ => ExitCode::Unreadable,
        };
        Self::new(code, error)
    }
}

impl From<LinearizationError> for Failure {
    fn from(error: LinearizationError) -> Self {
        let code = match error {
            LinearizationError::Scale(_) | LinearizationError::Nothing(_) | LinearizationError::Draws(_) => {
                ExitCode::Usage
            }
            LinearizationError::NoDamage { .. } | LinearizationError::Bound { .. } => ExitCode::Undecided,
            LinearizationError::Tensor(_) => ExitCode::Bug,
        };
        Self::new(code, error)
    }
}
