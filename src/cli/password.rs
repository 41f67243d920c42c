//! The password of encrypted zip archives: from a file or the environment, never from an argument, which every user of
//! the machine could read.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Refusal;
use crate::study::password::{Password, Passwords};

const VARIABLE: &str = "DENS_ZIP_PASSWORD";

#[derive(Debug, Clone, Default, Args)]
pub struct PasswordArgs {
    /// File whose first line is the password of encrypted zip archives (else DENS_ZIP_PASSWORD)
    #[arg(long, value_name = "F")]
    pub password_file: Option<PathBuf>,
}

impl PasswordArgs {
    /// # Errors
    /// When the file cannot be read, or what was given is no text.
    pub fn password(&self) -> Result<Option<Password>, Refusal> {
        if let Some(path) = &self.password_file {
            return first_line(path).map(Some);
        }
        match std::env::var(VARIABLE) {
            Ok(text) if text.is_empty() => Ok(None),
            Ok(text) => Ok(Some(Password::new(text))),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(Refusal(format!("{VARIABLE} is no UTF-8 text"))),
        }
    }

    /// As [`Self::password`], for every archive.
    pub fn passwords(&self) -> Result<Passwords, Refusal> {
        self.password().map(Passwords::for_all)
    }
}

fn first_line(path: &Path) -> Result<Password, Refusal> {
    let refused = |why: String| Refusal(format!("the password could not be read from {}: {why}", path.display()));
    let whole = Password::new(std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?);
    let line = whole.text().lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(refused("its first line is empty".to_owned()));
    }
    Ok(Password::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_file_is_the_password() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("written");
            PasswordArgs { password_file: Some(path.clone()) }.password()
        };
        for text in ["a b", "a b\n", "a b\r\nsecond\n"] {
            assert_eq!(read(text).expect("read").expect("there").text(), "a b");
        }
        assert!(read("\nsecond").expect_err("refused").0.contains("first line is empty"));
        let gone = PasswordArgs { password_file: Some(folder.path().join("gone")) };
        assert!(gone.password().expect_err("refused").0.contains("could not be read"));
    }
}
