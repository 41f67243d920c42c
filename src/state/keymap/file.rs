//! Maps of keys as files: those that come with the program, and the reader's own.

use std::collections::BTreeMap;

use super::{Action, Chord, KeyNames, action};

/// A map of keys; actions that it does not name keep the program's own keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeymapFile {
    /// What settings call it.
    pub id: String,
    /// What people call it.
    pub name: String,
    pub about: String,
    pub keys: BTreeMap<&'static str, Vec<Chord>>,
    /// Sentences on what could not be understood and was left out.
    pub problems: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Written {
    name: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    keys: KeyNames,
}

impl KeymapFile {
    /// Reads the text of a file, which `id` is the name of.
    ///
    /// # Errors
    /// A sentence, when it is no map of keys at all.
    pub fn parse(id: &str, text: &str) -> Result<Self, String> {
        let written: Written = toml::from_str(text).map_err(|error| {
            let first = error.message().lines().next().unwrap_or_default().to_owned();
            format!("The keymap {id}.toml could not be understood ({first}) and was left out.")
        })?;
        let (keys, mut problems) = understood(&written.keys, &format!("The keymap {id}.toml"));
        let mut taken: BTreeMap<Chord, &'static str> = BTreeMap::new();
        for (name, chords) in &keys {
            for chord in chords {
                if let Some(other) = taken.insert(*chord, name).filter(|other| other != name) {
                    problems.push(format!("The keymap {id}.toml gives {chord} to both {other} and {name}."));
                }
            }
        }
        let short = |text: &str, most: usize| text.trim().chars().filter(|c| !c.is_control()).take(most).collect();
        Ok(Self {
            id: id.to_owned(),
            name: short(&written.name, 40),
            about: short(&written.about, 400),
            keys,
            problems,
        })
    }
}

/// Names to actions and keys. What is unknown is told and left out.
pub(super) fn understood(names: &KeyNames, whose: &str) -> (BTreeMap<&'static str, Vec<Chord>>, Vec<String>) {
    let (mut keys, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, written) in names {
        let Some(Action { name, what, .. }) = action(name) else {
            let name: String = name.chars().take(40).collect();
            problems.push(format!("{whose}: the action \"{name}\" is not known to this version and was left out."));
            continue;
        };
        let mut chords: Vec<Chord> = Vec::new();
        for text in written {
            match text
                .parse::<Chord>()
                .map_err(|e| e.to_string())
                .and_then(|c| c.refused().map_or(Ok(c), |r| Err(r.to_owned())))
            {
                Ok(chord) if !chords.contains(&chord) => chords.push(chord),
                Ok(_) => {}
                Err(why) => {
                    let why = why.trim_end_matches('.').to_owned();
                    problems.push(format!("{whose}: a key of \"{what}\" was left out: {why}."));
                }
            }
        }
        keys.insert(*name, chords);
    }
    (keys, problems)
}

/// The maps that come with the program, beside its own.
pub fn shipped() -> Vec<KeymapFile> {
    let files = [
        ("horos", include_str!("../../../assets/keymaps/horos.toml")),
        ("weasis", include_str!("../../../assets/keymaps/weasis.toml")),
    ];
    files.into_iter().filter_map(|(id, text)| KeymapFile::parse(id, text).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shipped_files_are_read() {
        let ids: Vec<String> = shipped().into_iter().map(|map| map.id).collect();
        assert_eq!(ids, ["horos", "weasis"]);
    }

    #[test]
    fn a_bad_file_gets_sentences() {
        let text = "name = \"mine\"\n[keys]\nfly = [\"J\"]\nlength = [\"Mega+L\", \"L\"]\nangle = [\"L\"]\npin = [\"Alt+Up\"]\n";
        let map = KeymapFile::parse("mine", text).expect("a map");
        assert_eq!(map.keys.get("length").map(|k| k[0].to_string()), Some("L".to_owned()));
        assert_eq!(map.problems.len(), 4, "{:?}", map.problems);
        for what in ["\"fly\"", "\"Mega+L\"", "to both angle and length", "Alt with an arrow"] {
            assert!(map.problems.iter().any(|p| p.contains(what)), "{what}: {:?}", map.problems);
        }
        for bad in ["", "name = 3", "name = \"x\"\nkeys = [1]", "name = \"x\"\n[keys]\nlength = \"L\""] {
            assert!(KeymapFile::parse("x", bad).is_err_and(|e| e.contains("x.toml could not be understood")), "{bad}");
        }
    }
}
