//! What a run does: everything that its result depends on, as it is stored in `run.toml`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::augment::Augmentation;
use super::sampler::Sampling;
use crate::model::{AdamOptions, Architecture, Backbone, Pooling, cosine, step_decay};
use crate::preprocess::Recipe;

/// What a slice can stand and still show bone.
const MAX_BLUR_PX: f64 = 5.0;
const MAX_NOISE_HU: f64 = 300.0;

/// Where the numbers come from that nobody chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// As the paper says; see the comments of [`Settings::preset`] for what it leaves open.
    Paper,
    /// What works with some hundred cases (method 1.8, A15, A26).
    Practical,
}

/// How the learning rate falls.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    Constant,
    /// Times `factor` after each `every` epochs.
    StepDecay {
        every: usize,
        factor: f64,
    },
    /// Linear rise over this share of all steps, then half a cosine.
    Cosine {
        warm_up: f64,
    },
}

/// Steps of one stage.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    pub epochs: usize,
    pub batch: usize,
    pub learning_rate: f64,
    pub schedule: Schedule,
    /// Decoupled from the gradient.
    pub weight_decay: f64,
    /// Largest norm of all gradients together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    pub dropout: f64,
    /// Epochs without a better validation AUC after which the stage ends; `None`: all epochs, the best is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
}

/// Stage 1: the backbone learns slices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageStage {
    /// Slices shown in an epoch; `None`: as many as there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_images: Option<usize>,
    /// Slices of the inner validation that an epoch is judged by at most, half of them positive where there are as many;
    /// `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_images: Option<usize>,
    pub sampling: Sampling,
    pub steps: Steps,
    /// Weight of the loss of a head that learns from the reference boxes in which cells of the last maps the fracture lies,
    /// and is dropped after the training; 0: slices' labels alone teach, as in the paper.
    #[serde(default)]
    pub box_weight: f64,
    pub augmentation: Augmentation,
}

/// Before stage 1: the backbone learns small cut-outs at the pixel size of the whole slice, labelled by the reference boxes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CropStage {
    /// Edge of a crop, pixels of the network's input.
    pub side: usize,
    /// Crops shown in an epoch.
    pub epoch_crops: usize,
    /// As in [`ImageStage`].
    pub box_weight: f64,
    pub steps: Steps,
    /// About the crop's centre; the jitter of the place comes on top.
    pub augmentation: Augmentation,
}

impl CropStage {
    /// What serves a backbone at its usual input: a crop is a ninth of the slice.
    pub fn preset(backbone: Backbone) -> Self {
        let small = backbone == Backbone::Nano;
        Self {
            side: if small { 64 } else { 128 },
            epoch_crops: 16_000,
            box_weight: 1.0,
            steps: Steps { epochs: 8, learning_rate: 1e-3, patience: None, ..practical_stages(small).0.steps },
            augmentation: Augmentation { shift: 0.0, ..Augmentation::PRACTICAL },
        }
    }

    /// The stage in the words of stage 1, whose epochs it shares.
    pub(super) fn as_images(&self) -> ImageStage {
        ImageStage {
            epoch_images: Some(self.epoch_crops),
            validation_images: None,
            sampling: Sampling::ClassAware,
            steps: self.steps,
            box_weight: self.box_weight,
            augmentation: self.augmentation,
        }
    }
}

/// Stage 2: the sequence network learns cases from the backbone's features.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseStage {
    /// Features get mean 0 and standard deviation 1 over the training slices; folded into the weights afterwards.
    pub scale_features: bool,
    pub steps: Steps,
}

/// All of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// In the words of [`super::dataset::open`].
    pub datasets: Vec<String>,
    pub preset: Preset,
    /// `resnet50` or `nano`.
    pub backbone: String,
    /// Hidden size of the BLSTM per direction.
    pub units: usize,
    pub pooling: String,
    /// Edge of the network's input, pixels.
    pub input_side: usize,
    pub recipe: Recipe,
    pub z_step_mm: f64,
    /// Parts of the cross-validation; 1: no test part, seven eighths train and one eighth validates.
    pub folds: usize,
    /// The folds that are trained, from 1.
    pub train_folds: Vec<usize>,
    /// Stage 2 learns from features of backbones that have not seen the case.
    pub crossfit: bool,
    pub seed: u64,
    /// Labels of the training part dealt anew: a check, never a model.
    pub shuffle_labels: bool,
    /// Initial weights of the backbone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// Parts of the backbone whose convolutions keep their initial weights, as [`crate::model::TrainBackbone::freeze`] knows them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frozen: Vec<String>,
    /// `None`: stage 1 begins with whole slices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crops: Option<CropStage>,
    /// With no epoch the crops' backbone is used, apart from its batch norms' running statistics and its last layer, which are
    /// measured and fitted on whole slices; in a run without crops the backbone of the initial weights, as it is.
    pub images: ImageStage,
    pub cases: CaseStage,
}

impl Settings {
    /// A preset for a backbone. The first fold of seven is trained.
    pub fn preset(preset: Preset, backbone: Backbone, datasets: Vec<String>) -> Self {
        let small = backbone == Backbone::Nano;
        let (pooling, recipe) = match preset {
            Preset::Paper => (Pooling::Last, Recipe::Paper),
            Preset::Practical => (Pooling::TopkResidual, Recipe::Spine),
        };
        let (images, cases) = match preset {
            Preset::Paper => paper_stages(),
            Preset::Practical => practical_stages(small),
        };
        Self {
            datasets,
            preset,
            backbone: backbone.name().to_owned(),
            units: if small { 64 } else { 128 },
            pooling: pooling.name().to_owned(),
            input_side: backbone.default_side(),
            recipe,
            z_step_mm: if small { 2.0 } else { 1.0 },
            folds: 7,
            train_folds: vec![1],
            crossfit: false,
            seed: 1,
            shuffle_labels: false,
            weights: None,
            frozen: Vec::new(),
            crops: None,
            images,
            cases,
        }
    }

    /// The network that the settings speak of.
    ///
    /// # Errors
    /// A sentence with the value that nobody can build.
    pub fn architecture(&self) -> Result<Architecture, String> {
        let backbone = Backbone::from_name(&self.backbone);
        let backbone = backbone.ok_or_else(|| format!("there is no backbone {:?}", self.backbone))?;
        let pooling = Pooling::from_name(&self.pooling);
        let pooling = pooling.ok_or_else(|| format!("there is no pooling {:?}", self.pooling))?;
        let network = Architecture { backbone, units: self.units, pooling, input_side: self.input_side };
        network.check().map(|()| network)
    }

    /// Whether a run can be made of these numbers.
    ///
    /// # Errors
    /// A sentence with the first one that makes no sense.
    pub fn check(&self) -> Result<(), String> {
        self.architecture()?;
        if self.datasets.is_empty() {
            return Err("no data set is named".into());
        }
        if self.folds == 0 || self.train_folds.is_empty() {
            return Err("there must be at least one fold to train".into());
        }
        if let Some(fold) = self.train_folds.iter().find(|&&fold| fold == 0 || fold > self.folds) {
            return Err(format!("there is no fold {fold} of {}", self.folds));
        }
        if !(self.z_step_mm.is_finite() && self.z_step_mm > 0.0) {
            return Err(format!("slices {} mm apart cannot be", self.z_step_mm));
        }
        if self.images.epoch_images.is_some_and(|count| count < self.images.steps.batch) {
            return Err("an epoch of fewer images than a batch has no step".into());
        }
        if self.images.validation_images.is_some_and(|count| count < 2) {
            return Err("an epoch cannot be judged by fewer than two slices".into());
        }
        let weights = [Some(self.images.box_weight), self.crops.map(|crops| crops.box_weight)];
        if let Some(weight) = weights.into_iter().flatten().find(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            return Err(format!("boxes cannot weigh {weight}"));
        }
        if self.crossfit && self.backbone_is_given() {
            return Err(
                "--crossfit trains three more backbones, and stage 1 has no epoch: only one of them can be".into()
            );
        }
        if self.weights.is_none() && !self.frozen.is_empty() {
            return Err("weights that nothing has learned cannot be frozen; --weights names some that have".into());
        }
        let degraded = [Some(self.images.augmentation), self.crops.map(|crops| crops.augmentation)];
        for a in degraded.into_iter().flatten() {
            if !((0.0..=MAX_BLUR_PX).contains(&a.blur_px) && (0.0..=MAX_NOISE_HU).contains(&a.noise_hu)) {
                return Err(format!(
                    "a slice cannot be blurred by {} pixels and {} HU of noise",
                    a.blur_px, a.noise_hu
                ));
            }
        }
        if let Some(crops) = &self.crops {
            self.check_crops(crops)?;
        }
        let crop_steps = self.crops.as_ref().map(|crops| ("crops", &crops.steps));
        let stages = [Some(("images", &self.images.steps)), crop_steps, Some(("cases", &self.cases.steps))];
        for (stage, steps) in stages.into_iter().flatten() {
            let rate = steps.learning_rate;
            let wrong = if stage == "images" && self.backbone_is_given() && self.weights.is_none() {
                "no epoch, which only a run with --crops or --weights may have"
            } else if steps.epochs == 0 && stage != "images" {
                "no epoch"
            } else if steps.batch == 0 {
                "a batch of nothing"
            } else if !(rate.is_finite() && rate > 0.0) {
                "a learning rate that is not above 0"
            } else if !(0.0..1.0).contains(&steps.dropout) {
                "a dropout outside 0 to 1"
            } else {
                continue;
            };
            return Err(format!("the stage of {stage} has {wrong}"));
        }
        Ok(())
    }
}

impl Settings {
    /// Whether the backbone of the initial weights is used as it is.
    pub(super) fn backbone_is_given(&self) -> bool {
        self.crops.is_none() && self.images.steps.epochs == 0
    }

    /// Whether this stage fits the rest.
    fn check_crops(&self, crops: &CropStage) -> Result<(), String> {
        let network = Architecture { input_side: crops.side, ..self.architecture()? };
        if crops.side > self.input_side {
            let (side, input) = (crops.side, self.input_side);
            return Err(format!("crops of {side} pixels are larger than the network's input of {input}"));
        }
        network.check().map_err(|reason| format!("crops cannot have that edge: {reason}"))?;
        if crops.epoch_crops < crops.steps.batch {
            return Err("an epoch of fewer crops than a batch has no step".into());
        }
        if self.shuffle_labels {
            return Err(
                "--crops takes its labels from the reference boxes, which say what --shuffle-labels is to hide: only \
                        one of them can be"
                    .into(),
            );
        }
        Ok(())
    }
}

impl Steps {
    /// Rate of the `step`-th step of `total`, in epoch `epoch` (from 0).
    pub fn rate(&self, epoch: usize, step: usize, total: usize) -> f64 {
        match self.schedule {
            Schedule::Constant => self.learning_rate,
            Schedule::StepDecay { every, factor } => step_decay(self.learning_rate, epoch, every, factor),
            Schedule::Cosine { warm_up } => {
                cosine(self.learning_rate, step, total, (warm_up * total as f64).ceil() as usize)
            }
        }
    }

    pub fn optimiser(&self) -> AdamOptions {
        AdamOptions { weight_decay: self.weight_decay, clip_norm: self.clip_norm, ..AdamOptions::default() }
    }
}

/// The paper's two stages. It is silent about the sampling (A15): class-aware is the default, `paper-uniform` an option.
fn paper_stages() -> (ImageStage, CaseStage) {
    let images = Steps {
        epochs: 50,
        batch: 16,
        learning_rate: 1e-3,
        schedule: Schedule::StepDecay { every: 5, factor: 0.2 },
        weight_decay: 0.0,
        clip_norm: None,
        dropout: 0.5,
        patience: Some(7),
    };
    let cases = Steps {
        epochs: 100,
        batch: 4,
        learning_rate: 1e-6,
        // The paper names a decay for the first stage only.
        schedule: Schedule::Constant,
        weight_decay: 0.0,
        clip_norm: None,
        dropout: 0.5,
        patience: None,
    };
    (
        ImageStage {
            epoch_images: None,
            validation_images: None,
            sampling: Sampling::ClassAware,
            steps: images,
            box_weight: 0.0,
            augmentation: Augmentation::PAPER,
        },
        CaseStage { scale_features: false, steps: cases },
    )
}

fn practical_stages(small: bool) -> (ImageStage, CaseStage) {
    let images = Steps {
        epochs: if small { 12 } else { 20 },
        batch: 32,
        learning_rate: if small { 2e-3 } else { 1e-3 },
        schedule: Schedule::Cosine { warm_up: 0.05 },
        weight_decay: 1e-2,
        clip_norm: None,
        dropout: if small { 0.2 } else { 0.5 },
        patience: Some(7),
    };
    let cases = Steps {
        epochs: 60,
        batch: 8,
        learning_rate: 3e-4,
        schedule: Schedule::Cosine { warm_up: 0.05 },
        weight_decay: 1e-2,
        clip_norm: Some(1.0),
        dropout: 0.5,
        patience: Some(20),
    };
    (
        ImageStage {
            epoch_images: small.then_some(8000),
            // A slice costs the large network a hundred times as much.
            validation_images: (!small).then_some(2000),
            sampling: Sampling::ClassAware,
            steps: images,
            box_weight: 1.0,
            augmentation: Augmentation::PRACTICAL,
        },
        CaseStage { scale_features: true, steps: cases },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_stored_as_toml_and_come_back() {
        for preset in [Preset::Paper, Preset::Practical] {
            for backbone in Backbone::ALL {
                let settings = Settings::preset(preset, backbone, vec!["phantom:1-9".into()]);
                assert_eq!(settings.check(), Ok(()));
                let text = toml::to_string(&settings).unwrap();
                assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings, "{text}");
                assert!(!text.contains("crops"), "as before there were any: {text}");
                let settings = Settings { crops: Some(CropStage::preset(backbone)), ..settings };
                assert_eq!(settings.check(), Ok(()));
                let text = toml::to_string(&settings).unwrap();
                assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings, "{text}");
            }
        }
    }

    #[test]
    fn the_papers_rate_falls_as_published() {
        let steps = paper_stages().0.steps;
        let rate = |epoch| steps.rate(epoch, 0, 1);
        for (epoch, expected) in [(0, 1e-3), (4, 1e-3), (5, 2e-4), (10, 4e-5), (15, 8e-6), (20, 1.6e-6)] {
            assert!((rate(epoch) / expected - 1.0).abs() < 1e-9, "{epoch}");
        }
        assert_eq!(paper_stages().1.steps.rate(99, 5, 10), 1e-6);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_value() {
        let good = Settings::preset(Preset::Practical, Backbone::Nano, vec!["x".into()]);
        let refused = |change: fn(&mut Settings)| {
            let mut settings = good.clone();
            change(&mut settings);
            settings.check().unwrap_err()
        };
        assert!(refused(|s| s.train_folds = vec![8]).contains("fold 8 of 7"));
        assert!(refused(|s| s.z_step_mm = 0.0).contains("0 mm"));
        assert!(refused(|s| s.pooling = "sum".into()).contains("sum"));
        assert!(refused(|s| s.images.steps.learning_rate = f64::NAN).contains("learning rate"));
        assert!(refused(|s| s.images.epoch_images = Some(3)).contains("batch"));
        assert!(refused(|s| s.images.validation_images = Some(1)).contains("two slices"));
        assert!(refused(|s| s.images.steps.epochs = 0).contains("--crops"));
        assert!(
            refused(|s| (s.images.steps.epochs, s.crossfit, s.weights) = (0, true, Some("w".into())))
                .contains("--crossfit")
        );
        assert!(refused(|s| s.frozen = vec!["layer4".into()]).contains("--weights"));
        assert!(refused(|s| s.images.augmentation.blur_px = -1.0).contains("-1 pixels"));
        assert!(refused(|s| s.images.augmentation.noise_hu = f64::NAN).contains("NaN HU"));
    }

    #[test]
    fn crops_that_make_no_sense_are_refused_with_their_value() {
        let mut good = Settings::preset(Preset::Practical, Backbone::Nano, vec!["x".into()]);
        good.crops = Some(CropStage::preset(Backbone::Nano));
        good.images.steps.epochs = 0;
        assert_eq!(good.check(), Ok(()));
        let refused = |change: fn(&mut CropStage)| {
            let mut settings = good.clone();
            change(settings.crops.as_mut().unwrap());
            settings.check().unwrap_err()
        };
        assert!(refused(|crops| crops.side = 193).contains("crops of 193 pixels"));
        assert!(refused(|crops| crops.side = 32).contains("32 pixels"));
        assert!(refused(|crops| crops.epoch_crops = 3).contains("batch"));
        assert!(refused(|crops| crops.steps.epochs = 0).contains("stage of crops has no epoch"));
        assert!(refused(|crops| crops.steps.learning_rate = 0.0).contains("stage of crops"));
        assert!(refused(|crops| crops.box_weight = -1.0).contains("-1"));
        let dealt = Settings { shuffle_labels: true, ..good.clone() };
        assert!(dealt.check().unwrap_err().contains("--shuffle-labels"));
    }
}
