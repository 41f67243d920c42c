//! The command line: one file per subcommand. Exit codes: 0 done, 1 refused with the reason on standard error, 2 usage.

mod analyze;
mod demo;
mod info;
pub mod load;
mod open;
mod render;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::volume::Window;

pub use open::display_available;

/// A viewer for CT of the neck with a fracture network beside the image.
///
/// Research software. Not for diagnosis.
#[derive(Debug, Parser)]
#[command(name = "dens", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Folder or file to open in the window; nothing opens the start screen
    path: Option<PathBuf>,
    /// Where the network runs
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Weight file (.safetensors with a model card)
    #[arg(long)]
    model: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Open the built-in synthetic neck (without a display: run it offscreen and write dens-demo/)
    Demo(DemoArgs),
    /// List what a folder or file holds
    Info(InfoArgs),
    /// Write one slice as a PNG
    Render(RenderArgs),
    /// Run the network and write scores and maps as JSON
    Analyze(AnalyzeArgs),
    /// Run the network and write a report (PDF, PNG or JSON by extension)
    Report(ReportArgs),
}

/// Where the network runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, serde::Serialize, serde::Deserialize)]
pub enum DeviceChoice {
    /// The fastest there is: CUDA, Metal, else the CPU
    #[default]
    Auto,
    Cpu,
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
}

#[derive(Debug, Args)]
pub struct RenderArgs {
    pub path: PathBuf,
    /// Series as numbered by `dens info`, from 1 (default: the likeliest axial CT)
    #[arg(long)]
    pub series: Option<usize>,
    /// Slice in display order, from 1
    #[arg(long)]
    pub slice: usize,
    /// Preset name or CENTER,WIDTH
    #[arg(long, default_value = "bone", allow_hyphen_values = true)]
    pub window: Window,
    /// One output pixel per image pixel, 8-bit grey
    #[arg(long, conflicts_with = "size")]
    pub exact: bool,
    /// Size of the picture in pixels, e.g. 1024x1024
    #[arg(long)]
    pub size: Option<String>,
    /// Run the network on this slice and draw its map
    #[arg(long, conflicts_with = "exact")]
    pub heatmap: bool,
    #[arg(long, value_enum, default_value_t = Renderer::Cpu)]
    pub renderer: Renderer,
    #[arg(long)]
    pub out: PathBuf,
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
    /// Weight file (.safetensors with a model card)
    #[arg(long)]
    pub model: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceChoice,
    /// Preprocessing recipe
    #[arg(long, default_value = "paper")]
    pub recipe: String,
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
    #[arg(long, default_value = "paper")]
    pub recipe: String,
    /// Mask the patient's identity
    #[arg(long)]
    pub hide_identity: bool,
    /// F.pdf, F.png or F.json
    #[arg(long)]
    pub out: PathBuf,
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
        None => open::run(arguments.path.as_deref(), arguments.device, arguments.model.as_deref()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            eprintln!("dens: {refusal}");
            ExitCode::from(1)
        }
    }
}
