//! Where the backbone runs: the device asked for if it works, else the CPU with a sentence why.

use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::{Device, utils};

use super::checkpoint::Weights;
use super::cpu::Precision;
use super::resnet::{Pictures, Resnet, Target};
use super::{DevicePreference, ModelCard, ModelError};

/// The backbone where it will run.
pub(super) struct Placed {
    pub(super) backbone: Resnet,
    /// "CPU", "CPU, bfloat16", "CUDA 0" or "Metal 0".
    pub(super) name: String,
    pub(super) note: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accelerator {
    Cuda,
    Metal,
}

impl Accelerator {
    fn name(self) -> &'static str {
        match self {
            Self::Cuda => "CUDA 0",
            Self::Metal => "Metal 0",
        }
    }

    /// Whether this program was built with it.
    fn is_built_in(self) -> bool {
        match self {
            Self::Cuda => utils::cuda_is_available(),
            Self::Metal => utils::metal_is_available(),
        }
    }

    fn open(self) -> candle_core::Result<Device> {
        match self {
            Self::Cuda => Device::new_cuda(0),
            Self::Metal => Device::new_metal(0),
        }
    }
}

/// Puts the backbone on a device and tries it there once.
pub(super) fn place(weights: &Weights, card: &ModelCard, preference: DevicePreference) -> Result<Placed, ModelError> {
    let wanted = match preference {
        DevicePreference::Cpu | DevicePreference::CpuHalf => None,
        DevicePreference::Cuda => Some(Accelerator::Cuda),
        DevicePreference::Metal => Some(Accelerator::Metal),
        DevicePreference::Auto => [Accelerator::Cuda, Accelerator::Metal].into_iter().find(|a| a.is_built_in()),
    };
    let mut note = match wanted.map(|accelerator| (accelerator, on_accelerator(weights, card, accelerator))) {
        None => None,
        Some((accelerator, Ok(backbone))) => {
            return Ok(Placed { backbone, name: accelerator.name().into(), note: None });
        }
        Some((accelerator, Err(reason))) => {
            Some(format!("{} could not be used, the network runs on the CPU: {reason}", accelerator.name()))
        }
    };
    let precision = if preference == DevicePreference::CpuHalf { Precision::Half } else { Precision::Single };
    let backbone = Resnet::new(&card.network, weights, Target::Cpu(precision))?;
    let name = if backbone.is_half() { "CPU, bfloat16" } else { "CPU" };
    if precision == Precision::Half && !backbone.is_half() {
        note = Some("this processor does not multiply bfloat16, the network runs on it in f32".into());
    }
    Ok(Placed { backbone, name: name.into(), note })
}

/// Where a training runs.
pub(super) enum LearningPlace {
    Cpu(Precision),
    Device(Device),
}

/// The place for a training and its name. Automatic choice takes CUDA where this program has it and it works; Metal only
/// when asked for. Half precision on the CPU means products of bfloat16; weights, sums and what lies between layers stay f32.
pub(super) fn open(preference: DevicePreference) -> Result<(LearningPlace, String), ModelError> {
    let on_cpu = Ok((LearningPlace::Cpu(Precision::Single), "CPU".to_owned()));
    let (wanted, fall_back) = match preference {
        DevicePreference::Cpu => return on_cpu,
        DevicePreference::CpuHalf if super::cpu::has_half() => {
            return Ok((LearningPlace::Cpu(Precision::Half), "CPU, bfloat16".into()));
        }
        DevicePreference::CpuHalf => return on_cpu,
        DevicePreference::Auto => (Accelerator::Cuda, true),
        DevicePreference::Cuda => (Accelerator::Cuda, false),
        DevicePreference::Metal => (Accelerator::Metal, false),
    };
    let reason = match wanted.is_built_in().then(|| catch_unwind(AssertUnwindSafe(|| wanted.open()))) {
        Some(Ok(Ok(device))) => return Ok((LearningPlace::Device(device), wanted.name().into())),
        Some(Ok(Err(error))) => super::resnet::forward_error(error).to_string(),
        Some(Err(_)) => "its driver failed".into(),
        None => "this program was built without it".into(),
    };
    if fall_back {
        return on_cpu;
    }
    Err(ModelError::Forward(format!("{} could not be used: {reason}", wanted.name())))
}

/// The backbone on the accelerator after one forward pass, or why not. Drivers may also panic.
fn on_accelerator(weights: &Weights, card: &ModelCard, accelerator: Accelerator) -> Result<Resnet, String> {
    if !accelerator.is_built_in() {
        return Err("this program was built without it".into());
    }
    let attempt = catch_unwind(AssertUnwindSafe(|| {
        let device = accelerator.open().map_err(super::resnet::forward_error)?;
        let backbone = Resnet::new(&card.network, weights, Target::Device(&device))?;
        let side = card.network.input_side;
        let planes = vec![0.0; 3 * side * side];
        let probe = Pictures { planes: &planes, count: 1, side, mean: card.mean, std: card.std };
        backbone.forward(probe).map_err(super::resnet::forward_error)?;
        Ok::<_, ModelError>(backbone)
    }));
    match attempt {
        Ok(Ok(backbone)) => Ok(backbone),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("its driver failed".into()),
    }
}
