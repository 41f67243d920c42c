//! The command line: one file per subcommand. Exit codes: 0 done, 1 refused with the reason on standard error, 2 usage.

mod analyze;
mod demo;
mod evaluate;
mod info;
pub mod load;
mod model;
mod open;
mod password;
mod phantom;
mod render;
mod report;
mod signal;
mod train;
mod window;
mod worklist;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::volume::Projection;

pub use open::display_available;
use password::PasswordArgs;
pub use window::WindowChoice;

/// A viewer for CT of the neck with a fracture network beside the image.
///
/// Research software. Not for diagnosis.
#[derive(Debug, Parser)]
#[command(name = "dens", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Folders, zip archives or files to open together in the window; nothing opens the start screen
    paths: Vec<PathBuf>,
    /// Where the network runs
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Weight file (.safetensors with a model card)
    #[arg(long)]
    model: Option<PathBuf>,
    #[command(flatten)]
    password: PasswordArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Open the built-in synthetic neck (without a display: run it offscreen and write dens-demo/)
    Demo(DemoArgs),
    /// List what a folder, zip archive or file holds
    Info(InfoArgs),
    /// Write one slice, or a plane or slab across the slices, as a PNG; planes also as HU in an NRRD file
    Render(RenderArgs),
    /// Run the network and write scores and maps as JSON
    Analyze(AnalyzeArgs),
    /// Run the network and write a report (PDF, PNG or JSON by extension)
    Report(ReportArgs),
    /// Analyse every study of a folder and write a table (CSV) with a line for each
    Worklist(WorklistArgs),
    /// Show, import or verify a weight file
    Model(model::ModelArgs),
    /// Train the network on labelled studies, both stages, by cross-validation
    Train(Box<train::TrainArgs>),
    /// Write synthetic patients as a data set: DICOM, masks, boxes and csv files in RSNA 2022's layout
    Phantom(PhantomArgs),
    /// Measure the network on labelled studies or on a training run's test parts (JSON, Markdown, HTML, plots)
    Evaluate(evaluate::EvaluateArgs),
}

/// Where the network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize, serde::Deserialize)]
pub enum DeviceChoice {
    /// The fastest there is: CUDA, Metal, else the CPU
    #[default]
    Auto,
    Cpu,
    /// The CPU in half precision: about twice as fast where the processor multiplies bfloat16, scores within 0.01
    CpuBf16,
    Cuda,
    Metal,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Do not open a window even where there is a display
    #[arg(long)]
    pub offscreen: bool,
    /// Where the offscreen run writes its files
    #[arg(long, default_value = "dens-demo")]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct InfoArgs {
    pub path: PathBuf,
    /// The stable machine-readable form
    #[arg(long)]
    pub json: bool,
    /// Also say how long headers and slices took to read
    #[arg(long)]
    pub time: bool,
    #[command(flatten)]
    pub password: PasswordArgs,
}

#[derive(Debug, Args)]
pub struct RenderArgs {
    pub path: PathBuf,
    /// Series as numbered by `dens info`, from 1 (default: the likeliest axial CT)
    #[arg(long)]
    pub series: Option<usize>,
    /// Slice in display order, from 1
    #[arg(long, required_unless_present = "plane", conflicts_with = "plane")]
    pub slice: Option<usize>,
    /// Cut a plane of the body from the whole volume instead of showing a slice as acquired
    #[arg(long, value_enum, requires = "at")]
    pub plane: Option<PlaneChoice>,
    /// Where the plane lies: z (axial), x (sagittal) or y (coronal) in DICOM's patient space (LPS), mm
    #[arg(long, value_name = "MM", requires = "plane", allow_negative_numbers = true)]
    pub at: Option<f64>,
    /// Turn the plane, the shortest way, until its normal has this direction (LPS); about the point that lies at MM on the
    /// axis through the middle of the volume
    #[arg(long, value_name = "X,Y,Z", requires = "plane", allow_hyphen_values = true)]
    pub normal: Option<String>,
    /// Let the plane follow the spinal canal, found in the slices, and unroll it; MM is then the distance behind the canal's
    /// middle (coronal) or to the left of it (sagittal)
    #[arg(long, requires = "plane", conflicts_with = "normal")]
    pub curved: bool,
    /// Thickness of a slab, half of it on each side of the plane, mm
    #[arg(long, value_name = "MM", requires = "plane")]
    pub slab: Option<f64>,
    /// What becomes of the values across a slab
    #[arg(long, value_enum, default_value_t, requires = "slab")]
    pub projection: ProjectionChoice,
    /// Distance of the plane's pixels, mm (default: the smallest spacing of the volume)
    #[arg(long, value_name = "MM", requires = "plane")]
    pub spacing: Option<f64>,
    /// Preset name, CENTER,WIDTH, or file for the file's own window (file:N for the Nth that `dens info` lists)
    #[arg(long, default_value = "bone", allow_hyphen_values = true)]
    pub window: WindowChoice,
    /// One output pixel per image pixel, 8-bit grey
    #[arg(long, conflicts_with = "size")]
    pub exact: bool,
    /// Size of the picture in pixels, e.g. 1024x1024
    #[arg(long)]
    pub size: Option<String>,
    /// Run the network on this slice and draw its map
    #[arg(long, conflicts_with_all = ["exact", "plane"])]
    pub heatmap: bool,
    /// Weight file for --heatmap (default as in analyze)
    #[arg(long)]
    pub model: Option<PathBuf>,
    /// With --heatmap: score a series that a quality gate stops
    #[arg(long)]
    pub force: bool,
    #[arg(long, value_enum, default_value_t = Renderer::Cpu)]
    pub renderer: Renderer,
    #[command(flatten)]
    pub password: PasswordArgs,
    /// F.png; for planes also F.nrrd (HU without windowing)
    #[arg(long)]
    pub out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlaneChoice {
    Axial,
    Sagittal,
    Coronal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ProjectionChoice {
    /// The mean: a thicker slice
    #[default]
    Mean,
    /// The largest value
    Mip,
    /// The smallest value
    Minip,
}

impl From<ProjectionChoice> for Projection {
    fn from(choice: ProjectionChoice) -> Self {
        match choice {
            ProjectionChoice::Mean => Self::Mean,
            ProjectionChoice::Mip => Self::Mip,
            ProjectionChoice::Minip => Self::MinIp,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Renderer {
    Gpu,
    Cpu,
}

#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    pub path: PathBuf,
    #[arg(long)]
    pub series: Option<usize>,
    /// Weight file (.safetensors with a model card), or nano, resnet50 or untrained
    ///
    /// Without it: what DENS_MODEL names, else the best file in models/ beside the program, else of the two that are built in
    /// ResNet-50 where it takes at most two minutes for 300 slices.
    #[arg(long)]
    pub model: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Preprocessing recipe, paper or spine; must be the model's, which is taken without this
    #[arg(long)]
    pub recipe: Option<String>,
    /// Score a series that a quality gate stops; the reasons then stand beside the score
    #[arg(long)]
    pub force: bool,
    /// Make axial slices first of a series whose slices are more than 20 degrees off axial
    #[arg(long)]
    pub reformat_axial: bool,
    #[command(flatten)]
    pub password: PasswordArgs,
    #[arg(long)]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    pub path: PathBuf,
    #[arg(long)]
    pub series: Option<usize>,
    #[arg(long)]
    pub model: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Preprocessing recipe, paper or spine; must be the model's, which is taken without this
    #[arg(long)]
    pub recipe: Option<String>,
    /// Score a series that a quality gate stops; the reasons then stand beside the score
    #[arg(long)]
    pub force: bool,
    /// Make axial slices first of a series whose slices are more than 20 degrees off axial
    #[arg(long)]
    pub reformat_axial: bool,
    /// With the measurements and key slices that the window keeps of this series
    #[arg(long)]
    pub measurements: bool,
    /// Mask the patient's identity
    #[arg(long)]
    pub hide_identity: bool,
    #[command(flatten)]
    pub password: PasswordArgs,
    /// F.pdf, F.png or F.json
    #[arg(long)]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct WorklistArgs {
    /// Folder or zip archive with one or many studies
    pub path: PathBuf,
    /// Weight file (.safetensors with a model card), or nano, resnet50 or untrained
    ///
    /// Without it: what DENS_MODEL names, else the best file in models/ beside the program, else of the two that are built in
    /// ResNet-50 where it takes at most two minutes for 300 slices.
    #[arg(long)]
    pub model: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Score series that a quality gate stops; the passport says so
    #[arg(long)]
    pub force: bool,
    /// Leave patient IDs and study UIDs out
    #[arg(long)]
    pub hide_identity: bool,
    #[command(flatten)]
    pub password: PasswordArgs,
    /// F.csv
    #[arg(long)]
    pub csv: PathBuf,
}

/// How hard synthetic fractures are to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum DifficultyChoice {
    /// Wide gaps, little noise, tidy files
    Easy,
    #[default]
    Standard,
    Hard,
}

#[derive(Debug, Args)]
pub struct PhantomArgs {
    /// A new or empty folder
    #[arg(long)]
    pub out: PathBuf,
    /// Patients to make
    #[arg(long)]
    pub cases: u32,
    /// Seed of the first patient; the others follow. One seed is one patient, the same on every machine
    #[arg(long)]
    pub seed: u64,
    /// Easy also leaves out the odd files that archives hold (numbered from the feet, a slice missing or twice, unusual
    /// rescale and padding)
    #[arg(long, value_enum, default_value_t)]
    pub difficulty: DifficultyChoice,
    /// Share of patients with a fracture
    #[arg(long, default_value_t = 0.2)]
    pub positive_fraction: f64,
    /// Rows and columns of a slice
    #[arg(long, default_value_t = 512)]
    pub matrix: usize,
    /// Write each patient twice, hurt and unhurt, alike in all else (all patients then have a fracture in one of two studies)
    #[arg(long)]
    pub twins: bool,
    /// Draw the ages of hurt and unhurt alike
    #[arg(long)]
    pub match_age: bool,
    /// Kinds of fracture, several joined by +: NAME or all-but-NAME, as in --dataset (facet, lamina, hangman ...)
    #[arg(long = "type", value_name = "NAME")]
    pub kinds: Option<String>,
    /// Patients of scanners that are no part of the usual training (kernel, field, spacing, noise)
    #[arg(long)]
    pub shift: bool,
    /// Share of the fractured studies with boxes in train_bounding_boxes.csv
    #[arg(long, default_value_t = 1.0)]
    pub boxed_fraction: f64,
    /// Distance of slices in mm; drawn for each patient when not given
    #[arg(long)]
    pub spacing: Option<f64>,
}

/// What a subcommand says when it cannot do what was asked: one sentence, already fit for a person.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

impl Refusal {
    pub fn from_error(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Parses the arguments, runs the command, and turns its end into an exit code.
pub fn main() -> ExitCode {
    // Libraries log much that no reader can act on; what matters reaches the user as sentences.
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("error,dens=warn,jpeg2k=off")).init();
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Info(args)) => info::run(&args),
        Some(Command::Render(args)) => render::run(&args),
        Some(Command::Analyze(args)) => analyze::run(&args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Worklist(args)) => worklist::run(&args),
        Some(Command::Model(args)) => model::run(&args),
        Some(Command::Train(args)) => train::run_command(&args),
        Some(Command::Phantom(args)) => phantom::run(&args),
        Some(Command::Evaluate(args)) => evaluate::run(&args),
        None => open::run(&arguments.paths, arguments.device, arguments.model.as_deref(), &arguments.password),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            eprintln!("dens: {refusal}");
            ExitCode::from(1)
        }
    }
}
