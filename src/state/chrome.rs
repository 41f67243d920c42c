//! Panels, dialogs and lists around the image: opened, and closed one at a time.

use super::*;

impl AppState {
    pub(super) fn apply_chrome(&mut self, command: &Command, effects: &mut Vec<Effect>) -> bool {
        match command {
            Command::ToggleHelp => self.show_help = !self.show_help,
            Command::ToggleSettings => {
                self.show_settings = !self.show_settings;
                self.key_capture = None;
            }
            Command::ShowKeysPage => (self.show_settings, self.keys_page) = (true, true),
            Command::ShowGeneralPage => {
                (self.show_settings, self.keys_page) = (true, false);
                self.key_capture = None;
            }
            Command::ToggleNotices => self.show_notices = !self.show_notices,
            Command::ToggleIdentity => self.hide_identity = !self.hide_identity,
            Command::ToggleFullscreen => {
                self.fullscreen = !self.fullscreen;
                effects.push(Effect::SetFullscreen(self.fullscreen));
            }
            Command::DismissNotices => {
                self.notices.clear();
                self.show_notices = false;
            }
            Command::Escape => self.escape(effects),
            _ => return false,
        }
        true
    }

    /// Closes the topmost thing only, so that one key press closes one thing.
    fn escape(&mut self, effects: &mut Vec<Effect>) {
        if self.key_capture.take().is_some() || self.export.take().is_some() || self.give_up_drawing() {
        } else if self.show_help {
            self.show_help = false;
        } else if self.show_settings {
            self.show_settings = false;
        } else if self.show_notices {
            self.show_notices = false;
        } else if self.unlock.is_some() {
            self.leave_locked();
        } else if self.escape_measuring() {
        } else if self.attributes.open {
            self.attributes.open = false;
        } else if self.fullscreen {
            self.fullscreen = false;
            effects.push(Effect::SetFullscreen(false));
        } else if self.shows_worklist() && !self.worklist.filter.is_empty() {
            self.worklist.filter.clear();
        } else if self.has_worklist() {
            self.apply_worklist(WorklistCommand::Toggle, effects);
        }
    }
}
