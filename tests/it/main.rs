//! The one integration binary.

mod cli;
mod comfort;
mod dicom_load;
mod evaluate;
mod evaluation_golden;
mod gestures;
mod gpu;
mod keys;
mod measure;
mod memory;
mod model_golden;
mod phantom;
mod pipeline;
mod planes;
mod preprocess_golden;
mod reformat;
mod report;
mod rules;
mod support;
mod ui;
mod voi_lut;
mod worklist;
