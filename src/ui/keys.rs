//! The keyboard: key events to commands, by the keys in force.

use egui::{Event, Key, Modifiers};

use super::UiCache;
use crate::state::keymap::{Chord, Does};
use crate::state::{
    AppState, Command, ExportKind, KeysCommand, MeasureCommand, ReadingCommand, SortBy, WorklistCommand,
};

/// Turns this frame's key events into commands.
pub fn read(ctx: &egui::Context, state: &AppState, cache: &mut UiCache, commands: &mut Vec<Command>) {
    match &state.key_capture {
        Some(capture) if capture.conflict.is_none() => return catch_key(ctx, commands),
        // The answer is given with buttons, by Tab and Enter too; no other key does anything meanwhile.
        Some(_) => {
            let given_up = ctx.input(|i| i.key_pressed(Key::Escape));
            commands.extend(given_up.then_some(Command::Escape));
            return;
        }
        None => {}
    }
    let typing = ctx.text_edit_focused();
    let focused = ctx.memory(|m| m.focused());
    let (events, time_s) = ctx.input(|i| (i.events.clone(), i.time));
    cache.focus_enters = focused.is_none() && ctx.input(|i| i.key_pressed(Key::Tab) && !i.modifiers.any());
    let in_attributes = cache.attributes.focused_line;
    let in_list = std::mem::take(&mut cache.measure_row_focused);
    let in_field = std::mem::take(&mut cache.field_focused);
    let listed = state.shows_worklist();
    // A view that has the keyboard scrolls with the arrows as if nothing had it.
    let elsewhere = focused.is_some() && focused != cache.scrolls_when_focused.take();
    for event in events {
        match event {
            Event::Copy if !typing => match in_attributes {
                Some(line) if !listed => commands.push(Command::CopyAttribute { line, whole: false }),
                _ => pressed((Key::C, Modifiers::COMMAND), false, state, time_s, cache, commands),
            },
            Event::Cut if !typing => pressed((Key::X, Modifiers::COMMAND), false, state, time_s, cache, commands),
            // An open menu closes by itself, and nothing else with it.
            Event::Key { key: Key::Escape, pressed: true, .. } if egui::Popup::is_any_open(ctx) => {}
            Event::Key { key: Key::Escape, pressed: true, .. } if in_field => {}
            Event::Key { key: Key::Escape, pressed: true, .. } => commands.push(Command::Escape),
            // The release counts even when a modifier or another widget came between.
            Event::Key { key, pressed: false, .. } if cache.heatmap_key == Some(key) => {
                cache.heatmap_key = None;
                commands.push(Command::HeatmapKey { down: false, time_s });
            }
            Event::Key { key, pressed: true, modifiers, repeat, .. } if !typing => {
                if let Some(steps) = arrow(key).filter(|_| in_list || (modifiers.alt && !modifiers.command)) {
                    commands.push(Command::Measure(MeasureCommand::Nudge { steps, fine: modifiers.shift }));
                    continue;
                }
                let moves_focus = arrow(key).is_some() || matches!(key, Key::Space | Key::Enter);
                let pages = matches!(key, Key::Home | Key::End | Key::PageUp | Key::PageDown);
                // In the list the arrows choose a study whatever has the keyboard.
                let chooses = listed && matches!(key, Key::ArrowDown | Key::ArrowUp);
                if (elsewhere && moves_focus && !modifiers.command && !chooses) || (in_attributes.is_some() && pages) {
                    continue;
                }
                // Where Shift is released before the key, the release is of another one and each further press counts as a
                // repetition.
                let repeat = repeat && key != Key::Questionmark;
                if key == Key::Enter && modifiers.is_none() && !listed {
                    let commits = focused.is_none() && !repeat;
                    commands.extend(commits.then_some(Command::Reading(ReadingCommand::Commit)));
                    continue;
                }
                pressed((key, modifiers), repeat, state, time_s, cache, commands);
            }
            _ => {}
        }
    }
}

/// A key with its modifiers, wherever the reader is.
fn pressed(
    (key, modifiers): (Key, Modifiers),
    repeat: bool,
    state: &AppState,
    time_s: f64,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    if state.shows_worklist() {
        commands.extend(in_worklist(key, modifiers, repeat, state, cache));
    } else {
        press((key, modifiers), repeat, state, time_s, cache, commands);
    }
}

fn press(
    (key, modifiers): (Key, Modifiers),
    repeat: bool,
    state: &AppState,
    time_s: f64,
    cache: &mut UiCache,
    commands: &mut Vec<Command>,
) {
    let Some(action) = chord_of(key, modifiers).and_then(|chord| state.keymap.action(chord)) else { return };
    if repeat && !action.repeats {
        return;
    }
    match &action.does {
        Does::Command(command) => commands.push(command.clone()),
        Does::Heatmap => {
            cache.heatmap_key = Some(key);
            commands.push(Command::HeatmapKey { down: true, time_s });
        }
        Does::Note => cache.focus_note = true,
        // Asked for while it is held.
        Does::Magnifier => {}
        Does::ActualPixels => cache.actual_pixels = true,
    }
}

/// What keys do while the worklist is on the screen: those that act on the list, then those of the table that have a
/// meaning there.
fn in_worklist(key: Key, modifiers: Modifiers, repeat: bool, state: &AppState, cache: &mut UiCache) -> Option<Command> {
    let action = chord_of(key, modifiers).and_then(|chord| state.keymap.action(chord));
    let action = action.filter(|action| action.in_list && (action.repeats || !repeat));
    let from_table = || match action.map(|action| &action.does) {
        // A report is of one study; in the list it is that of all.
        Some(Does::Command(Command::BeginExport(_))) => Some(Command::BeginExport(ExportKind::Readings)),
        Some(Does::Command(command)) => Some(command.clone()),
        _ => None,
    };
    let plain = !modifiers.command && !modifiers.alt;
    if plain && state.export.is_some() {
        return None;
    }
    if modifiers.command && !modifiers.alt && !modifiers.shift && key == Key::F {
        cache.focus_filter = true;
        return None;
    }
    if !plain {
        return from_table();
    }
    let wish = match key {
        Key::ArrowDown => WorklistCommand::MoveCursor(1),
        Key::ArrowUp => WorklistCommand::MoveCursor(-1),
        Key::PageDown => WorklistCommand::MoveCursor(10),
        Key::PageUp => WorklistCommand::MoveCursor(-10),
        Key::Home => WorklistCommand::MoveCursor(-1_000_000),
        Key::End => WorklistCommand::MoveCursor(1_000_000),
        Key::Enter if !repeat => WorklistCommand::OpenCursor,
        Key::O if !repeat => WorklistCommand::SortBy(SortBy::AsFound),
        Key::N if !repeat => WorklistCommand::SortBy(SortBy::Name),
        Key::D if !repeat => WorklistCommand::SortBy(SortBy::Date),
        Key::R if !repeat => WorklistCommand::SortBy(SortBy::Result),
        Key::P if !repeat => WorklistCommand::TogglePause,
        Key::Slash if !modifiers.shift && !repeat => {
            cache.focus_filter = true;
            return None;
        }
        _ => return from_table(),
    };
    Some(Command::Worklist(wish))
}

/// What ends a cine: anything but a movement of the mouse, which may happen by itself, and a change of its pace or range.
pub fn stops_cine(input: &egui::InputState, state: &AppState) -> bool {
    let its_own = |key: Key, modifiers: Modifiers| {
        let action = chord_of(key, modifiers).and_then(|chord| state.keymap.action(chord));
        let of_cine = |does: &Does| matches!(does, Does::Command(Command::StepCineRate(_) | Command::ToggleCineEnd(_)));
        is_modifier(key) || action.is_some_and(|action| of_cine(&action.does))
    };
    input.events.iter().any(|event| match event {
        Event::Key { key, modifiers, pressed, repeat, .. } => *pressed && !repeat && !its_own(*key, *modifiers),
        Event::PointerButton { pressed, .. } => *pressed,
        Event::MouseWheel { .. } | Event::Zoom(_) => true,
        _ => false,
    })
}

fn chord_of(key: Key, modifiers: Modifiers) -> Option<Chord> {
    Chord::new(modifiers.command, modifiers.alt, modifiers.shift, key.name())
}

/// Whether a key of an action is held, for what lasts as long as its key.
pub fn is_held(ctx: &egui::Context, state: &AppState, action: &str) -> bool {
    if ctx.text_edit_focused() || state.key_capture.is_some() {
        return false;
    }
    let keys = state.keymap.keys(action);
    ctx.input(|i| i.keys_down.iter().any(|key| chord_of(*key, i.modifiers).is_some_and(|chord| keys.contains(&chord))))
}

/// While a key is awaited nothing else hears the keyboard.
fn catch_key(ctx: &egui::Context, commands: &mut Vec<Command>) {
    let events = ctx.input_mut(|i| {
        let (keys, others) = std::mem::take(&mut i.events).into_iter().partition(|event| {
            matches!(event, Event::Key { .. } | Event::Text(_) | Event::Copy | Event::Cut | Event::Paste(_))
        });
        i.events = others;
        keys
    });
    let events: Vec<Event> = events;
    let caught = events.into_iter().find_map(|event| match event {
        Event::Key { key: Key::Escape, pressed: true, .. } => Some(Command::Escape),
        Event::Key { key, pressed: true, repeat: false, modifiers, .. } if !is_modifier(key) => {
            let refused = || format!("{} means the same everywhere and cannot be assigned.", key.name());
            Some(Command::Keys(KeysCommand::Pressed(chord_of(key, modifiers).ok_or_else(refused))))
        }
        Event::Copy => Chord::new(true, false, false, "C").map(|c| Command::Keys(KeysCommand::Pressed(Ok(c)))),
        Event::Cut => Chord::new(true, false, false, "X").map(|c| Command::Keys(KeysCommand::Pressed(Ok(c)))),
        Event::Paste(_) => Chord::new(true, false, false, "V").map(|c| Command::Keys(KeysCommand::Pressed(Ok(c)))),
        _ => None,
    });
    commands.extend(caught);
}

fn is_modifier(key: Key) -> bool {
    matches!(
        key,
        Key::ShiftLeft
            | Key::ShiftRight
            | Key::ControlLeft
            | Key::ControlRight
            | Key::AltLeft
            | Key::AltRight
            | Key::SuperLeft
            | Key::SuperRight
            | Key::Fn
            | Key::CapsLock
            | Key::NumLock
            | Key::ScrollLock
    )
}

/// Steps to the right and down.
fn arrow(key: Key) -> Option<[i32; 2]> {
    match key {
        Key::ArrowRight => Some([1, 0]),
        Key::ArrowLeft => Some([-1, 0]),
        Key::ArrowDown => Some([0, 1]),
        Key::ArrowUp => Some([0, -1]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::keymap::actions;

    #[test]
    fn the_window_system_knows_every_key_of_the_table() {
        for action in actions() {
            for text in action.keys {
                let chord: Chord = text.parse().expect("checked by the table's own test");
                let key = Key::from_name(chord.key()).unwrap_or_else(|| panic!("{text}"));
                assert_eq!(key.name(), chord.key(), "{text}");
            }
        }
    }

    #[test]
    fn modifiers_make_the_chord() {
        let chord = |key, modifiers| chord_of(key, modifiers).map(|c| c.to_string());
        assert_eq!(chord(Key::ArrowDown, Modifiers::SHIFT).as_deref(), Some("Shift+Down"));
        assert_eq!(chord(Key::Slash, Modifiers::SHIFT).as_deref(), Some("?"));
        assert_eq!(chord(Key::Plus, Modifiers::COMMAND | Modifiers::SHIFT).as_deref(), Some("Ctrl++"));
        assert_eq!(chord(Key::Escape, Modifiers::NONE), None);
    }
}
