//! The reader's own keys: a key is caught, what it collides with is told, and only the differences from the chosen map are
//! kept.

use super::keymap::{self, Action, Chord, Keymap, KeymapFile};
use super::*;

/// The name of the program's own map.
pub const OWN_MAP: &str = "dens";

/// A key that is being chosen for an action.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyCapture {
    /// The action's name.
    pub action: &'static str,
    /// Beside the keys that it has, not in their place.
    pub add: bool,
    /// The key that was pressed and the action that has it already.
    pub conflict: Option<(Chord, &'static str)>,
    /// Why the key that was pressed cannot be taken.
    pub refusal: Option<String>,
}

/// What to do with a key that another action has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// The other action gets the first key that this one had.
    Swap,
    /// The other action goes without.
    Take,
    /// Everything stays as it was.
    Leave,
}

/// A wish about keys.
#[derive(Debug, Clone, PartialEq)]
pub enum KeysCommand {
    /// The next key that is pressed goes to the action.
    Capture {
        action: &'static str,
        add: bool,
    },
    /// A key was pressed while one is awaited; `Err` names one that cannot be assigned.
    Pressed(Result<Chord, String>),
    Resolve(OnConflict),
    /// No key at all.
    Clear(&'static str),
    Reset(&'static str),
    ResetAll,
    /// By its name; the reader's own changes stay.
    Choose(String),
}

impl AppState {
    /// The maps of keys to choose from, beside the program's own.
    pub fn keymaps(&self) -> &[KeymapFile] {
        &self.keymaps
    }

    /// Adds the reader's own files: their names, and their texts or why they could not be read.
    pub fn add_keymaps(&mut self, files: Vec<(String, Result<String, String>)>) {
        for (id, text) in files {
            let known = id == OWN_MAP || self.keymaps.iter().any(|map| map.id == id);
            let read = match known {
                true => {
                    Err(format!("The keymap {id}.toml has the name of one that comes with the program; rename it."))
                }
                false => text.and_then(|text| KeymapFile::parse(&id, &text)),
            };
            match read {
                Ok(map) => {
                    map.problems.iter().for_each(|problem| self.notice(Severity::Warning, problem.clone()));
                    self.keymaps.push(map);
                }
                Err(why) => self.notice(Severity::Warning, why),
            }
        }
        self.tell_of_keys();
    }

    /// Puts the keys in force, and says what about the stored ones cannot be used.
    fn tell_of_keys(&mut self) {
        for problem in self.renew_keys() {
            self.notice(Severity::Warning, problem);
        }
    }

    pub(super) fn renew_keys(&mut self) -> Vec<String> {
        let wanted = &self.settings.keymap;
        let map = self.keymaps.iter().find(|map| map.id == *wanted);
        let (keys, mut problems) = Keymap::new(map, &self.settings.own_keys);
        if map.is_none() && wanted != OWN_MAP {
            let name: String = wanted.chars().take(40).collect();
            problems.push(format!("The keymap \"{name}\" is not there any more; the keys of dens are in force."));
        }
        self.keymap = keys;
        problems
    }

    /// The keys that the chosen map has for an action, without the reader's changes.
    fn keys_of_map(&self, action: &Action) -> Vec<Chord> {
        let map = self.keymaps.iter().find(|map| map.id == self.settings.keymap);
        Keymap::new(map, &keymap::KeyNames::new()).0.keys(action.name).to_vec()
    }

    pub(super) fn apply_keys(&mut self, command: KeysCommand, effects: &mut Vec<Effect>) {
        match command {
            KeysCommand::Capture { action, add } => {
                self.key_capture = Some(KeyCapture { action, add, conflict: None, refusal: None });
                return;
            }
            KeysCommand::Pressed(pressed) => {
                if !self.key_pressed(pressed) {
                    return;
                }
            }
            KeysCommand::Resolve(how) => self.resolve(how),
            KeysCommand::Clear(name) => self.give(name, Vec::new()),
            KeysCommand::Reset(name) => self.reset(name),
            KeysCommand::ResetAll => self.settings.own_keys.clear(),
            KeysCommand::Choose(id) => self.settings.keymap = id,
        }
        self.key_capture = None;
        self.renew_keys();
        Self::save(effects);
    }

    /// True when the key has gone to its action.
    fn key_pressed(&mut self, pressed: Result<Chord, String>) -> bool {
        let Some(capture) = &mut self.key_capture else { return false };
        capture.conflict = None;
        let pressed = pressed.and_then(|chord| match chord.refused() {
            Some(why) => Err(why.to_owned()),
            None => Ok(chord),
        });
        let chord = match pressed {
            Ok(chord) => chord,
            Err(why) => {
                capture.refusal = Some(why);
                return false;
            }
        };
        capture.refusal = None;
        let holder = self.keymap.action(chord).map(|action| action.name);
        if let Some(other) = holder.filter(|name| *name != capture.action) {
            capture.conflict = Some((chord, other));
            return false;
        }
        let (name, add) = (capture.action, capture.add);
        self.give_one(name, chord, add);
        true
    }

    fn resolve(&mut self, how: OnConflict) {
        let Some(KeyCapture { action, add, conflict: Some((chord, other)), .. }) = self.key_capture.clone() else {
            return;
        };
        let first = self.keymap.keys(action).first().copied();
        let replacement = match how {
            OnConflict::Leave => return,
            OnConflict::Take => None,
            // A key that this action keeps cannot go to the other one.
            OnConflict::Swap => first.filter(|_| !add),
        };
        let others: Vec<Chord> = self.keymap.keys(other).to_vec();
        let mut kept: Vec<Chord> = Vec::new();
        for key in others {
            let key = if key == chord { replacement } else { Some(key) };
            kept.extend(key.filter(|key| !kept.contains(key)));
        }
        self.give_one(action, chord, add);
        self.give(other, kept);
    }

    fn give_one(&mut self, name: &'static str, chord: Chord, add: bool) {
        let mut keys = if add { self.keymap.keys(name).to_vec() } else { Vec::new() };
        if !keys.contains(&chord) {
            keys.push(chord);
        }
        self.give(name, keys);
    }

    /// Kept as a difference, where it is one.
    fn give(&mut self, name: &'static str, keys: Vec<Chord>) {
        let Some(action) = keymap::action(name) else { return };
        if self.keys_of_map(action) == keys {
            self.settings.own_keys.remove(name);
        } else {
            self.settings.own_keys.insert(name.to_owned(), keys.iter().map(Chord::to_string).collect());
        }
    }

    /// The map's keys again, but for those that the reader has given to another action.
    fn reset(&mut self, name: &'static str) {
        self.settings.own_keys.remove(name);
    }

    /// Whether an action has other keys than in the chosen map.
    pub fn has_own_keys(&self, name: &str) -> bool {
        self.settings.own_keys.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chord(text: &str) -> Chord {
        text.parse().expect("a key")
    }
    fn keys(state: &mut AppState, command: KeysCommand) -> bool {
        state.apply(Command::Keys(command)).iter().any(|effect| matches!(effect, Effect::SaveSettings))
    }
    fn press(state: &mut AppState, action: &'static str, add: bool, key: &str) -> bool {
        keys(state, KeysCommand::Capture { action, add });
        keys(state, KeysCommand::Pressed(Ok(chord(key))))
    }

    #[test]
    fn a_free_key_goes_to_its_action_at_once_and_is_kept_as_a_difference() {
        let mut state = AppState::new(Settings::default());
        assert!(press(&mut state, "length", false, "F6"));
        assert_eq!(state.key_capture, None);
        assert_eq!((state.keymap.text("length").as_str(), state.keymap.action(chord("D")).is_none()), ("F6", true));
        assert!(press(&mut state, "length", true, "Ctrl+J"));
        assert_eq!(state.settings.own_keys["length"], ["F6", "Ctrl+J"]);
        let stored = serde_json::to_string(&state.settings).expect("JSON");
        let again = AppState::new(serde_json::from_str(&stored).expect("settings"));
        assert_eq!(again.keymap.text("length"), "F6, Ctrl+J");
        assert!(press(&mut state, "length", false, "D"));
        assert!(state.settings.own_keys.is_empty(), "back at the map, nothing is kept");
    }

    #[test]
    fn a_key_that_is_taken_is_swapped_taken_or_left() {
        let mut state = AppState::new(Settings::default());
        assert!(!press(&mut state, "length", false, "N"));
        assert_eq!(state.key_capture.as_ref().and_then(|c| c.conflict), Some((chord("N"), "next-peak")));
        assert!(state.settings.own_keys.is_empty(), "nothing happens before the answer");
        keys(&mut state, KeysCommand::Resolve(OnConflict::Leave));
        assert_eq!(state.keymap.text("length"), "D");
        press(&mut state, "length", false, "N");
        keys(&mut state, KeysCommand::Resolve(OnConflict::Swap));
        assert_eq!((state.keymap.text("length").as_str(), state.keymap.text("next-peak").as_str()), ("N", "D"));
        press(&mut state, "angle", true, "Backspace");
        keys(&mut state, KeysCommand::Resolve(OnConflict::Take));
        assert_eq!(
            (state.keymap.text("angle").as_str(), state.keymap.text("delete").as_str()),
            ("A, Backspace", "Delete")
        );
        // Reset gives what nobody else has been given.
        keys(&mut state, KeysCommand::Reset("next-peak"));
        assert_eq!(state.keymap.text("next-peak"), "");
        assert_eq!(state.keymap.lost("next-peak").map(|(_, by)| by.name).collect::<Vec<_>>(), ["length"]);
        keys(&mut state, KeysCommand::ResetAll);
        assert!(state.settings.own_keys.is_empty());
        assert_eq!(state.keymap.text("next-peak"), "N");
        keys(&mut state, KeysCommand::Clear("cine"));
        assert_eq!(state.keymap.text("cine"), "");
    }

    #[test]
    fn keys_that_cannot_be_had_get_a_sentence_and_escape_ends_the_waiting() {
        let mut state = AppState::new(Settings::default());
        state.apply(Command::ToggleSettings);
        assert!(!press(&mut state, "length", false, "Alt+Up"));
        assert!(state.key_capture.as_ref().is_some_and(|c| c.refusal.is_some()));
        keys(&mut state, KeysCommand::Pressed(Err("Tab cannot be assigned.".into())));
        assert!(state.key_capture.is_some());
        state.apply(Command::Escape);
        assert!(state.key_capture.is_none() && state.show_settings, "one thing at a time");
    }

    #[test]
    fn maps_are_chosen_and_own_changes_stay() {
        let mut state = AppState::new(Settings::default());
        press(&mut state, "cine", false, "F6");
        keys(&mut state, KeysCommand::Choose("horos".into()));
        assert_eq!(state.keymap.action(chord("M")).map(|a| a.name), Some("tool-pan"));
        assert_eq!((state.keymap.text("cine").as_str(), state.keymap.text("length").as_str()), ("F6", "L"));
        let text = "name = \"mine\"\n[keys]\nlength = [\"F6\", \"Oops\"]\n".to_owned();
        state.add_keymaps(vec![
            ("mine".into(), Ok(text)),
            ("horos".into(), Ok(String::new())),
            ("broken".into(), Err("The keymap broken.toml could not be read.".into())),
        ]);
        assert_eq!(state.notices.len(), 3, "{:?}", state.notices);
        assert_eq!(state.keymaps().len(), 3);
        keys(&mut state, KeysCommand::Choose("mine".into()));
        assert_eq!(state.keymap.text("length"), "", "the reader's own F6 for the cine goes first");
        let stored = Settings { keymap: "gone".into(), ..Settings::default() };
        let mut state = AppState::new(stored);
        state.add_keymaps(Vec::new());
        assert!(state.notices.iter().any(|n| n.text.contains("\"gone\" is not there any more")));
        assert_eq!(state.keymap.text("length"), "D");
    }
}
