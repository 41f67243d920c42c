//! Dens: a viewer for CT of the neck that runs a fracture network beside the image.
//!
//! Research software. Not for diagnosis.
//!
//! # Module map
//!
//! | Module | Purpose | may use | outside crates confined to it |
//! |---|---|---|---|
//! | [`geometry`] | patient space (LPS, mm), slice poses, stacks, planes flat and curved, orientation letters | nothing of ours | |
//! | [`jobs`] | background work: progress, cancel, panic caught, window woken | nothing of ours | |
//! | [`files`] | files written whole or not at all, with or without a sync | nothing of ours | |
//! | [`random`] | streams of random numbers, the same everywhere | nothing of ours | libm |
//! | [`pages`] | memory in large pages | nothing of ours | memmap2 |
//! | [`volume`] | [`volume::Volume`] (HU), windows, sampling, planes and slabs, the copy for the bone view, statistics | geometry, pages | |
//! | [`study`] | what a study and a series say of themselves; plain data | geometry, volume | zeroize |
//! | [`dicom`] | files, also in zip archives, to catalog, checks, decode, volume | study, volume, geometry, jobs | dicom-*, zip, aes, hmac, pbkdf2, sha1, zeroize |
//! | [`findings`] | slice scores, case score, heatmaps, provenance; plain data | volume, geometry, study | |
//! | [`reading`] | verdicts of a reader, their times, their file and CSV forms; plain data | truth | |
//! | [`truth`] | the reference standard of a study: labels, boxes, fractures; plain data | geometry | |
//! | [`phantom`] | seeded synthetic necks with their truth | volume, geometry, study, truth, random, jobs | libm |
//! | [`preprocess`] | the paper's windows, Otsu crop, pad, resize and the way back | findings (boxes), volume, geometry, jobs | |
//! | [`model`] | network, its layers (also while they learn), weights, model card, device | findings (how a card's numbers are read), files, random, pages | candle-*, gemm, safetensors, libm |
//! | [`inference`] | volume to findings: order of slices, device, progress; the canal as a line | model, preprocess, findings, volume, geometry, study, jobs, phantom (to calibrate seeded weights) | |
//! | [`evaluation`] | metrics, intervals, calibration, tables; plain numbers | random, jobs | libm |
//! | [`training`] | data sets, augmentation, the two stages, cross-validation, checkpoints | model, preprocess, evaluation, inference, dicom, phantom, findings, study, truth, volume, geometry, files, random, jobs | candle-*, libm |
//! | [`plots`] | curves and strips of an evaluation or a training as PNG | evaluation | plotters, image |
//! | [`measure`] | lengths, angles, regions, pins in patient space, their values, their list and its file form, levels by named vertebrae; plain data | geometry, volume, truth | |
//! | [`view`] | where one looks and how it looks; screen to patient; hit tests | findings, volume, geometry | |
//! | [`state`] | [`state::AppState`], commands, effects: decides everything, performs nothing | reading, measure, view, findings, study, truth, volume, geometry, jobs | |
//! | [`gpu`] | textures and pipelines, offscreen rendering; each shader has a CPU twin | view, findings, volume, geometry | wgpu, egui_wgpu, egui (paint) |
//! | [`report`] | findings, rendered views and an evaluation's blocks to PDF, PNG, JSON | measure, findings, study, view, gpu (offscreen), truth, evaluation (its document), files, volume, geometry | krilla, tiny-skia, image |
//! | [`ui`] | panels and widgets: read state, emit commands | state, reading, measure, view, findings, study, truth, volume, geometry, gpu (paint entry only) | egui |
//! | [`app`] | owns state, running jobs and GPU context; carries out effects | all | eframe, rfd, egui |
//! | [`cli`] | one file per subcommand | all | clap, indicatif, image |
//!
//! # Invariants
//!
//! * Data runs one way: `files -> dicom -> volume -> view -> gpu` and
//!   `volume -> preprocess -> model -> findings -> view`. Wishes run the other way, only as values:
//!   `ui -> Command -> state::apply -> Effect -> app -> Job -> result -> state::apply`.
//! * The data modules (geometry, volume, study, findings, measure, view) know nobody who fills or draws them.
//! * Slices are stored and counted in display order everywhere: head to feet for axial series,
//!   ascending along the slice normal for others, by InstanceNumber where there is no geometry.
//!   Indices are 0-based in code and 1-based wherever a person or a file sees them.
//! * Patient space is DICOM's LPS in millimetres. Matrices are named target-from-source.
//! * A volume is immutable and shared by `Arc`; a changed volume has a new id. A result carries the ids
//!   it was made from and is dropped when they are no longer current.
//! * While a result is hidden from the reader ([`state::AppState::results_hidden`]) nothing that is drawn, sorted, exported
//!   or spoken depends on it: widgets and exports ask [`state::AppState::findings`] and its like, never the results themselves.
//! * No result exists without its provenance, and no score is shown without what its weights were trained on.
//! * Text from a file is data: shown with control characters replaced, never used as a path, never logged.

pub mod app;
pub mod cli;
pub mod dicom;
pub mod evaluation;
pub mod files;
pub mod findings;
pub mod geometry;
pub mod gpu;
pub mod inference;
pub mod jobs;
pub mod measure;
pub mod model;
pub mod pages;
pub mod phantom;
pub mod plots;
pub mod preprocess;
pub mod random;
pub mod reading;
pub mod report;
pub mod state;
pub mod study;
pub mod training;
pub mod truth;
pub mod ui;
pub mod view;
pub mod volume;

/// The line that stands on every screen, page and exported picture.
pub const RESEARCH_LINE: &str = "Research software. No regulatory clearance has been sought for any use. \
     Not for diagnosis, treatment or triage.";
/// The short form for places where the whole [`RESEARCH_LINE`] does not fit.
pub const RESEARCH_LINE_SHORT: &str = "Research software. Not for diagnosis.";
/// This program's name and version as written into reports.
pub const SOFTWARE: &str = concat!("dens ", env!("CARGO_PKG_VERSION"));
