//! Windows of the reader's own, by name, and those that the file offers.

use super::*;

/// So many are kept.
pub const MOST_USER_WINDOWS: usize = 6;
const LONGEST_NAME: usize = 40;

/// A window under the name that the reader gave it; may be empty.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct UserWindow {
    #[serde(default)]
    pub name: String,
    pub window: Window,
}

impl UserWindow {
    /// A table belongs to its file: what is kept is the window next to it.
    fn new(name: &str, window: &Window) -> Self {
        let name = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
        Self { name, window: window.without_table() }
    }
    /// What it is called where it is chosen.
    pub fn title(&self) -> &str {
        if self.name.trim().is_empty() { "your own" } else { self.name.trim() }
    }
}

/// A wish that concerns windows with names. Numbers count from 0.
#[derive(Debug, Clone, PartialEq)]
pub enum WindowsCommand {
    /// The window at hand joins the reader's own under this name.
    Store(String),
    Use(usize),
    Rename(usize, String),
    Change(usize, Window),
    Delete(usize),
    /// One of those that the file offers.
    UseOfFile(usize),
}

/// What a file of settings holds, put where it can be used.
pub(super) fn within_reason(kept: Vec<UserWindow>, older: Option<Window>) -> Vec<UserWindow> {
    let older = older.filter(|_| kept.is_empty()).map(|window| UserWindow::new("", &window));
    let all = kept.iter().map(|own| UserWindow::new(&own.name, &own.window)).chain(older);
    all.filter(|own| own.window.is_valid()).take(MOST_USER_WINDOWS).collect()
}

/// The window that one series is shown with, for another one: where its values are HU too, and with a table only where the
/// other's file offers the same.
pub(super) fn carried(window: Option<Window>, to: &Series) -> Option<Window> {
    let window = window.filter(|_| to.values_are_hu)?;
    Some(if window.table.is_some() && !to.file_windows.contains(&window) { window.without_table() } else { window })
}

impl AppState {
    pub(super) fn apply_windows(&mut self, command: WindowsCommand, effects: &mut Vec<Effect>) {
        let own = &mut self.settings.user_windows;
        let full = own.len() >= MOST_USER_WINDOWS;
        let before = own.clone();
        match (command, Self::at_hand_of(&mut self.active, &mut self.beside)) {
            (WindowsCommand::Store(name), Some(active)) if !full => own.push(UserWindow::new(&name, &active.window)),
            (WindowsCommand::Store(_), Some(_)) => {
                let text =
                    format!("{MOST_USER_WINDOWS} windows of your own are kept; delete one in the settings first.");
                self.notice(Severity::Info, text);
                return;
            }
            (WindowsCommand::Use(at), Some(active)) => {
                if let Some(own) = own.get(at) {
                    active.window = own.window.clone();
                }
            }
            (WindowsCommand::UseOfFile(at), Some(active)) => {
                if let Some(window) = active.series.file_windows.get(at) {
                    active.window = window.clone();
                }
            }
            (WindowsCommand::Rename(at, name), _) => {
                own.get_mut(at).into_iter().for_each(|own| *own = UserWindow::new(&name, &own.window));
            }
            (WindowsCommand::Change(at, window), _) if window.is_valid() => {
                own.get_mut(at).into_iter().for_each(|own| own.window = window.without_table());
            }
            (WindowsCommand::Delete(at), _) if at < own.len() => {
                own.remove(at);
            }
            _ => {}
        }
        if before != self.settings.user_windows {
            Self::save(effects);
        }
    }

    /// The window at hand as the first of the reader's own, which keeps its name.
    pub(super) fn store_first_window(&mut self, effects: &mut Vec<Effect>) {
        let Some(window) = self.at_hand().map(|active| active.window.without_table()) else { return };
        match self.settings.user_windows.first_mut() {
            Some(first) => first.window = window,
            None => self.settings.user_windows.push(UserWindow::new("", &window)),
        }
        Self::save(effects);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_window_of_older_settings_is_the_first_of_several() {
        let old = r#"{"user_window":{"center":60.0,"width":400.0,"function":"Linear"},"wheel_slices":2}"#;
        let state = AppState::new(serde_json::from_str(old).expect("settings"));
        let first = UserWindow { name: String::new(), window: Window::linear(60.0, 400.0) };
        assert_eq!(state.settings.user_windows, std::slice::from_ref(&first));
        assert_eq!(first.title(), "your own");
        assert_eq!(state.settings.wheel_slices, 2);
        // Written in the new form only, and read again.
        let text = serde_json::to_string(&state.settings).expect("JSON");
        assert!(!text.contains("\"user_window\""), "{text}");
        let again = AppState::new(serde_json::from_str(&text).expect("settings"));
        assert_eq!(again.settings.user_windows, [first]);
        // Deleted it does not come back.
        let mut state = again;
        let effects = state.apply(Command::Windows(WindowsCommand::Delete(0)));
        assert!(effects.iter().any(|e| matches!(e, Effect::SaveSettings)));
        assert!(state.settings.user_windows.is_empty());
    }

    #[test]
    fn what_somebody_edited_is_put_right() {
        let window = |width: f64| UserWindow { name: "a\u{7}b".repeat(40), window: Window::linear(0.0, width) };
        let kept: Vec<UserWindow> = [0.0, f64::NAN].into_iter().chain((1..20).map(f64::from)).map(window).collect();
        let good = within_reason(kept, Some(Window::BONE));
        assert_eq!(good.len(), MOST_USER_WINDOWS);
        assert!(good.iter().all(|own| own.window.is_valid() && own.name.chars().count() == LONGEST_NAME));
        assert!(good.iter().all(|own| !own.name.chars().any(char::is_control)));
    }
}
