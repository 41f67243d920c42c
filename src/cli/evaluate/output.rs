//! The files of an evaluation: known to be writable in kind before the work, written whole or not at all after it.

use std::path::{Path, PathBuf};

use super::super::Refusal;
use crate::evaluation::{CasePrediction, Document, Evaluation, Picture};
use crate::report::{document_pdf, write_atomically};

/// Folder of the plots in a folder of everything.
const PLOTS: &str = "plots";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Markdown,
    Html,
    Pdf,
    Folder,
}

/// Where the results go.
#[derive(Debug)]
pub struct Outputs {
    outs: Vec<(PathBuf, Kind)>,
    plots: Option<PathBuf>,
}

impl Outputs {
    /// # Errors
    /// An extension that is none of ours, or a file in a folder that is not there.
    pub fn new(outs: &[PathBuf], plots: Option<&Path>) -> Result<Self, Refusal> {
        let outs = outs.iter().map(|out| Ok((out.clone(), kind_of(out)?))).collect::<Result<_, Refusal>>()?;
        Ok(Self { outs, plots: plots.map(Path::to_path_buf) })
    }

    /// # Errors
    /// A folder could not be made or a file not written; the others are.
    pub fn write(
        &self,
        evaluation: &Evaluation,
        document: &Document,
        pictures: &[Picture],
        predictions: &[&CasePrediction],
    ) -> Result<(), Refusal> {
        if let Some(plots) = &self.plots {
            write_pictures(plots, pictures)?;
        }
        for (out, kind) in &self.outs {
            match kind {
                Kind::Json => write(out, &json(evaluation)?)?,
                Kind::Html => write(out, &document.html(pictures))?,
                Kind::Pdf => write_pdf(out, document, pictures)?,
                Kind::Markdown => write(out, &document.markdown(pictures, self.plots_from(out).as_deref()))?,
                Kind::Folder => {
                    make_folder(out)?;
                    write_pictures(&out.join(PLOTS), pictures)?;
                    write(&out.join("evaluation.json"), &json(evaluation)?)?;
                    write(&out.join("evaluation.html"), &document.html(pictures))?;
                    write_pdf(&out.join("evaluation.pdf"), document, pictures)?;
                    write(&out.join("evaluation.md"), &document.markdown(pictures, Some(&format!("{PLOTS}/"))))?;
                    write(&out.join("predictions.json"), &json(predictions)?)?;
                }
            }
        }
        Ok(())
    }

    /// The folder of the plots as a link in a file beside it; `None` without one.
    fn plots_from(&self, file: &Path) -> Option<String> {
        let plots = self.plots.as_deref()?;
        let beside = file.parent().and_then(|parent| plots.strip_prefix(parent).ok()).unwrap_or(plots);
        let link = beside.to_string_lossy().replace('\\', "/").replace(' ', "%20");
        Some(if link.is_empty() { String::new() } else { format!("{link}/") })
    }
}

fn kind_of(out: &Path) -> Result<Kind, Refusal> {
    if out.is_dir() {
        return Ok(Kind::Folder);
    }
    let extension = out.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    let kind = match extension.as_deref() {
        None => return Ok(Kind::Folder),
        Some("json") => Kind::Json,
        Some("md") => Kind::Markdown,
        Some("html") => Kind::Html,
        Some("pdf") => Kind::Pdf,
        Some(other) => {
            return Err(Refusal(format!(
                "an evaluation is not written as .{other}: use .json, .md, .html, .pdf, or a folder for all of them"
            )));
        }
    };
    match out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if !folder.is_dir() => Err(Refusal(format!(
            "{} is no folder; nothing was done. Make it, or choose another place.",
            folder.display()
        ))),
        _ => Ok(kind),
    }
}

fn json(value: impl serde::Serialize) -> Result<String, Refusal> {
    serde_json::to_string_pretty(&value).map(|text| text + "\n").map_err(Refusal::from_error)
}

fn write(path: &Path, text: &str) -> Result<(), Refusal> {
    write_atomically(path, text.as_bytes()).map_err(Refusal::from_error)
}

fn write_pdf(path: &Path, document: &Document, pictures: &[Picture]) -> Result<(), Refusal> {
    let pdf = document_pdf(document, pictures).map_err(Refusal::from_error)?;
    write_atomically(path, &pdf).map_err(Refusal::from_error)
}

fn make_folder(folder: &Path) -> Result<(), Refusal> {
    std::fs::create_dir_all(folder).map_err(|error| Refusal(format!("{} could not be made: {error}", folder.display())))
}

fn write_pictures(folder: &Path, pictures: &[Picture]) -> Result<(), Refusal> {
    make_folder(folder)?;
    pictures.iter().try_for_each(|picture| {
        write_atomically(&folder.join(&picture.file), &picture.png).map_err(Refusal::from_error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_says_what_is_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let kind = |name: &str| kind_of(&folder.path().join(name)).expect("known");
        assert_eq!(
            [kind("a.json"), kind("a.MD"), kind("a.html"), kind("a.pdf"), kind("a")],
            [Kind::Json, Kind::Markdown, Kind::Html, Kind::Pdf, Kind::Folder]
        );
        let refused = |name: &str| kind_of(&folder.path().join(name)).expect_err("refused").0;
        assert!(refused("a.docx").contains(".html") && refused("none/a.json").contains("is no folder"));
    }

    #[test]
    fn markdown_links_to_plots_beside_it() {
        let link = |plots: &str, file: &str| {
            Outputs { outs: Vec::new(), plots: Some(plots.into()) }.plots_from(Path::new(file)).expect("a link")
        };
        assert_eq!(link("out/my plots", "out/a.md"), "my%20plots/");
        assert_eq!(link("plots", "a.md"), "plots/");
        assert_eq!(link("/elsewhere", "out/a.md"), "/elsewhere/");
    }
}
