//! What is written for others: asked for, named, confirmed. Carried out elsewhere.

use super::*;

impl AppState {
    pub(super) fn apply_export(&mut self, command: &Command, effects: &mut Vec<Effect>) -> bool {
        match command {
            Command::BeginExport(ExportKind::Report) if self.results_hidden() && !self.shows_worklist() => {
                self.notice(Severity::Info, self.no_report());
            }
            Command::BeginExport(kind) if self.can_export(*kind) => {
                let name = match kind {
                    ExportKind::Readings => "dens-worklist.csv",
                    ExportKind::Report => "dens-report.pdf",
                    ExportKind::Picture => "dens-view.png",
                    ExportKind::Panes => "dens-panes.png",
                };
                let path = self.export_folder.join(name).display().to_string();
                self.export = Some(ExportDialog { kind: *kind, path, error: None, writing: false, replace: false });
            }
            Command::SetExportPath(path) => {
                if let Some(export) = &mut self.export {
                    export.path.clone_from(path);
                    export.error = None;
                    export.replace = false;
                }
            }
            Command::PickExportPath => {
                if let Some(export) = &self.export {
                    effects.push(Effect::PickExportPath { kind: export.kind, suggested: export.path.clone() });
                }
            }
            Command::ConfirmExport => {
                if let Some(export) = self.export.as_mut().filter(|e| !e.writing) {
                    export.writing = true;
                    export.error = None;
                    let path = PathBuf::from(export.path.trim());
                    effects.push(match export.kind {
                        ExportKind::Report => Effect::WriteReport { path, replace: export.replace },
                        ExportKind::Picture => Effect::WritePicture { path, replace: export.replace },
                        ExportKind::Panes => Effect::WritePanes { path, replace: export.replace },
                        ExportKind::Readings => Effect::WriteReadings { path, replace: export.replace },
                    });
                }
            }
            Command::CopyPicture if !self.shows_worklist() => effects.push(Effect::CopyPicture),
            Command::BeginExport(_) | Command::CopyPicture => {}
            _ => return false,
        }
        true
    }

    fn can_export(&self, kind: ExportKind) -> bool {
        match kind {
            ExportKind::Readings => !self.worklist.rows.is_empty(),
            _ => !self.shows_worklist() && self.active.as_ref().is_some_and(|a| a.slice().is_some()),
        }
    }
}
