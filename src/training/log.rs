//! The log of a run: one row per epoch, written whole after each.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One epoch of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogRow {
    /// From 1.
    pub fold: usize,
    /// "crops", "images", "cases", or "images-crossfit-1" and so on.
    pub stage: String,
    /// From 1; 0 is the state before the first step.
    pub epoch: usize,
    /// At the epoch's last step.
    pub learning_rate: f64,
    pub train_loss: Option<f64>,
    pub validation_loss: Option<f64>,
    /// `None` where the inner validation has one class only.
    pub validation_auc: Option<f64>,
    /// The best so far, kept.
    pub best: bool,
    /// Slices or crops, or cases in the second stage.
    pub items_per_s: f64,
    pub seconds: f64,
}

/// `log.csv`.
#[derive(Debug)]
pub struct RunLog {
    path: PathBuf,
    rows: Vec<LogRow>,
}

impl RunLog {
    /// Opens the log of a run folder; rows that cannot be read are forgotten.
    pub fn open(folder: &Path) -> Self {
        let path = folder.join("log.csv");
        Self { rows: read(&path).unwrap_or_default(), path }
    }

    /// Adds an epoch. What stands there of the same or later epochs of this stage is from before a resumption and goes.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn push(&mut self, row: LogRow) -> std::io::Result<()> {
        self.rows.retain(|old| old.fold != row.fold || old.stage != row.stage || old.epoch < row.epoch);
        self.rows.push(row);
        super::files::write_whole(&self.path, |file| {
            let mut writer = csv::Writer::from_writer(file);
            self.rows.iter().try_for_each(|row| writer.serialize(row)).map_err(std::io::Error::other)?;
            writer.flush()
        })
    }

    pub fn rows(&self) -> &[LogRow] {
        &self.rows
    }
}

/// The rows of a `log.csv`.
///
/// # Errors
/// It cannot be read, or a row is none.
pub fn read(path: &Path) -> Result<Vec<LogRow>, csv::Error> {
    csv::Reader::from_path(path)?.deserialize().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(stage: &str, epoch: usize, loss: f64) -> LogRow {
        LogRow {
            fold: 1,
            stage: stage.into(),
            epoch,
            learning_rate: 1e-3,
            train_loss: Some(loss),
            validation_loss: None,
            validation_auc: Some(0.5),
            best: true,
            items_per_s: 10.0,
            seconds: 1.0,
        }
    }

    #[test]
    fn a_resumed_epoch_takes_the_place_of_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = RunLog::open(folder.path());
        for (stage, epoch, loss) in [("images", 1, 0.7), ("images", 2, 0.6), ("cases", 1, 0.5)] {
            log.push(row(stage, epoch, loss)).unwrap();
        }
        let mut again = RunLog::open(folder.path());
        assert_eq!(again.rows(), log.rows());
        again.push(row("images", 2, 0.4)).unwrap();
        let rows = read(&folder.path().join("log.csv")).unwrap();
        assert_eq!(rows, [row("images", 1, 0.7), row("cases", 1, 0.5), row("images", 2, 0.4)]);
    }
}
