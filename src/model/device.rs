//! Where tensors live. The only file that knows the feature `cuda`.

use std::fmt;
use std::str::FromStr;

use candle_core::Device;

use crate::spelling::did_you_mean;

/// A device as asked for on the command line: `cpu`, `cuda:N` or `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The processor.
    #[default]
    Cpu,
    /// The NVIDIA GPU of this index.
    Cuda(usize),
    /// The first GPU if this build and this machine have one, the processor otherwise.
    Auto,
}

/// A device that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// Not a device's name.
    #[error("unknown device {found:?}; {}expected cpu, cuda:N or auto", did_you_mean(found, &["cpu", "cuda:0", "auto"]))]
    Unknown {
        /// The text found.
        found: String,
    },
    /// This program was built without GPU support.
    #[error("cuda:{index} was asked for, but this program was built without the feature `cuda`; build it with `cargo build --release --features cuda` or use --device cpu")]
    BuiltWithoutCuda {
        /// The GPU asked for.
        index: usize,
    },
    /// The driver refuses.
    #[error("cuda:{index} cannot be used; check the driver with nvidia-smi or use --device cpu")]
    Unavailable {
        /// The GPU asked for.
        index: usize,
        /// What the driver says.
        source: candle_core::Error,
    },
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;
    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "auto" => Ok(Self::Auto),
            "cuda" => Ok(Self::Cuda(0)),
            _ => match text.strip_prefix("cuda:").map(str::parse) {
                Some(Ok(index)) => Ok(Self::Cuda(index)),
                _ => Err(DeviceError::Unknown { found: text.to_owned() }),
            },
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// [`DeviceError::BuiltWithoutCuda`] or [`DeviceError::Unavailable`] where a GPU is asked for and cannot be had.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(index) => open_cuda(index),
            Self::Auto => Ok(open_cuda(0).unwrap_or(Device::Cpu)),
        }
    }
}

/// The kind of an open device, as recorded with results: `cpu` or `cuda`.
#[must_use]
pub fn kind(device: &Device) -> &'static str {
    if device.is_cuda() {
        "cuda"
    } else {
        "cpu"
    }
}

#[cfg(feature = "cuda")]
fn open_cuda(index: usize) -> Result<Device, DeviceError> {
    Device::new_cuda(index).map_err(|source| DeviceError::Unavailable { index, source })
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(index: usize) -> Result<Device, DeviceError> {
    Err(DeviceError::BuiltWithoutCuda { index })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_written() {
        for text in ["cpu", "auto", "cuda:3"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        for text in ["gpu", "cuda:", "cuda:-1", "cuda:x", ""] {
            assert!(matches!(text.parse::<DeviceChoice>(), Err(DeviceError::Unknown { found }) if found == text));
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_is_refused_with_the_way_to_get_one() {
        let error = DeviceChoice::Cuda(1).open().unwrap_err();
        assert!(error.to_string().contains("--features cuda"));
        assert!(DeviceChoice::Auto.open().unwrap().is_cpu());
    }
}
