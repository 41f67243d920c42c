//! What a network is made of: which backbone, how wide the BLSTM, how its answers are pooled, how large its input.

use serde_json::{Value, json};

use super::card::{shown, supports};

/// Hidden sizes per direction that the paper used; ResNet-50 comes with one of them.
pub const UNITS: [usize; 3] = [96, 128, 256];
/// Hidden sizes per direction that the small backbone may come with.
const SMALL_UNITS: std::ops::RangeInclusive<usize> = 8..=256;
/// Edges of the input, pixels; the paper's is 384.
const SIDES: std::ops::RangeInclusive<usize> = 64..=512;

/// The network for one slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backbone {
    /// torchvision's ResNet-50, the paper's.
    Resnet50,
    /// One basic block per stage, 16 to 128 channels: small enough to be trained on a CPU.
    Nano,
}

/// How the steps of the BLSTM become one logit (method: A23).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pooling {
    /// The paper: forward state after the last slice beside the backward state after the first.
    Last,
    /// Mean of both directions' outputs over all slices.
    Mean,
    /// Largest value of each output over all slices.
    Max,
    /// Mean weighted by a softmax over a linear score of each slice's outputs.
    Attention,
    /// `a * mean of the three largest slice logits + b + BLSTM`, with `a >= 0`: begins as what the slices say, which few
    /// cases suffice to keep, and lets the BLSTM correct it.
    TopkResidual,
}

/// The whole network's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Architecture {
    pub backbone: Backbone,
    /// Hidden size of the BLSTM per direction.
    pub units: usize,
    pub pooling: Pooling,
    /// Edge of the network's input in pixels.
    pub input_side: usize,
}

/// The two kinds of residual block (He et al. 2016).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// Two 3 x 3 convolutions.
    Basic,
    /// 1 x 1, 3 x 3, 1 x 1 to four times the width.
    Bottleneck,
}

/// Kind, number and width of a backbone's blocks; the width doubles from stage to stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) block: Block,
    pub(super) blocks: [usize; 4],
    pub(super) width: usize,
}

impl Plan {
    /// Length of the vector after global average pooling.
    pub(super) fn features(&self) -> usize {
        self.width * 8 * self.block.expansion()
    }
}

impl Block {
    /// Channels out per inner channel.
    pub(super) fn expansion(self) -> usize {
        match self {
            Self::Basic => 1,
            Self::Bottleneck => 4,
        }
    }
}

impl Backbone {
    pub const ALL: [Self; 2] = [Self::Resnet50, Self::Nano];

    /// As it stands in a card and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resnet50 => "resnet50",
            Self::Nano => "nano",
        }
    }

    /// The backbone of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backbone| backbone.name() == name)
    }

    /// Length of the vector that it makes of a slice.
    pub fn features(self) -> usize {
        self.plan().features()
    }

    /// The input it is meant for.
    pub fn default_side(self) -> usize {
        match self {
            Self::Resnet50 => 384,
            Self::Nano => 192,
        }
    }

    pub(super) fn plan(self) -> Plan {
        match self {
            Self::Resnet50 => Plan { block: Block::Bottleneck, blocks: [3, 4, 6, 3], width: 64 },
            Self::Nano => Plan { block: Block::Basic, blocks: [1, 1, 1, 1], width: 16 },
        }
    }
}

impl Pooling {
    pub const ALL: [Self; 5] = [Self::Last, Self::Mean, Self::Max, Self::Attention, Self::TopkResidual];

    /// As it stands in a card and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Mean => "mean",
            Self::Max => "max",
            Self::Attention => "attention",
            Self::TopkResidual => "topk-residual",
        }
    }

    /// The pooling of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pooling| pooling.name() == name)
    }
}

impl Architecture {
    /// The paper's network: ResNet-50 at 384 x 384, last states pooled.
    pub fn paper(units: usize) -> Self {
        Self { backbone: Backbone::Resnet50, units, pooling: Pooling::Last, input_side: 384 }
    }

    /// The small network for CPUs.
    pub fn nano(units: usize, pooling: Pooling) -> Self {
        Self { backbone: Backbone::Nano, units, pooling, input_side: 192 }
    }

    /// Length of the vector that the backbone makes of a slice.
    pub fn features(&self) -> usize {
        self.backbone.features()
    }

    /// For the screen, e.g. "ResNet-10 quarter width + BLSTM-64".
    pub fn describe(&self) -> String {
        let backbone = match self.backbone {
            Backbone::Resnet50 => "ResNet-50",
            Backbone::Nano => "ResNet-10 quarter width",
        };
        let pooling = match self.pooling {
            Pooling::Last => "",
            Pooling::Mean => ", mean of slices",
            Pooling::Max => ", maximum of slices",
            Pooling::Attention => ", attention",
            Pooling::TopkResidual => " + top three slices",
        };
        format!("{backbone} + BLSTM-{}{pooling}", self.units)
    }

    /// Whether this program can build it.
    ///
    /// # Errors
    /// A sentence with the value that it cannot honour.
    pub fn check(&self) -> Result<(), String> {
        match self.backbone {
            Backbone::Resnet50 if !UNITS.contains(&self.units) => {
                return Err(format!("{} units per direction; with resnet50 it must be 96, 128 or 256", self.units));
            }
            Backbone::Nano if !SMALL_UNITS.contains(&self.units) => {
                return Err(format!("{} units per direction; with nano it must be 8 to 256", self.units));
            }
            _ => {}
        }
        if !SIDES.contains(&self.input_side) {
            let (low, high) = (SIDES.start(), SIDES.end());
            return Err(format!("an input of {} pixels; it must be {low} to {high}", self.input_side));
        }
        Ok(())
    }

    /// The card's `architecture` object.
    pub(super) fn to_json(self) -> Value {
        json!({
            "backbone": self.backbone.name(), "units": self.units, "pooling": self.pooling.name(), "channels": 3,
            "slices_per_input": 1
        })
    }

    /// Reads what a card says of the network.
    pub(super) fn from_card(card: &Value) -> Result<Self, String> {
        let backbone = named(card, "/architecture/backbone", Backbone::from_name, &Backbone::ALL.map(Backbone::name))?;
        let pooling = named(card, "/architecture/pooling", Pooling::from_name, &Pooling::ALL.map(Pooling::name))?;
        let units = whole(card, "/architecture/units")?;
        supports(card, "/architecture/slices_per_input", &json!(1))?;
        let input_side = whole(card, "/input/size")?;
        let network = Self { backbone, units, pooling, input_side };
        network.check().map_err(|reason| format!("the model card's /architecture/units and /input/size: {reason}"))?;
        Ok(network)
    }
}

fn named<T>(card: &Value, field: &str, from: impl Fn(&str) -> Option<T>, known: &[&str]) -> Result<T, String> {
    let stored = card.pointer(field).ok_or_else(|| format!("the model card lacks {field}"))?;
    stored.as_str().and_then(from).ok_or_else(|| {
        let stored = shown(&stored.to_string());
        format!("the model card's {field} is {stored}; this program supports only {}", known.join(", "))
    })
}

fn whole(card: &Value, field: &str) -> Result<usize, String> {
    let stored = card.pointer(field).ok_or_else(|| format!("the model card lacks {field}"))?;
    let value = stored.as_u64().and_then(|value| usize::try_from(value).ok());
    value.ok_or_else(|| format!("the model card's {field} is {}, not a whole number", shown(&stored.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_what_they_name() {
        assert!(Backbone::ALL.iter().all(|&b| Backbone::from_name(b.name()) == Some(b)));
        assert!(Pooling::ALL.iter().all(|&p| Pooling::from_name(p.name()) == Some(p)));
        assert_eq!((Backbone::Resnet50.features(), Backbone::Nano.features()), (2048, 128));
    }

    #[test]
    fn what_cannot_be_built_is_refused_with_its_value() {
        let refused = |network: Architecture| network.check().unwrap_err();
        assert!(refused(Architecture::paper(64)).contains("64 units"));
        assert!(refused(Architecture { input_side: 48, ..Architecture::paper(96) }).contains("48 pixels"));
        assert!(refused(Architecture::nano(4, Pooling::Mean)).contains("4 units"));
        assert_eq!(Architecture::nano(64, Pooling::Last).check(), Ok(()));
        assert_eq!(Architecture::nano(64, Pooling::Last).describe(), "ResNet-10 quarter width + BLSTM-64");
    }
}
