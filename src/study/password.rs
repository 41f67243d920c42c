//! Passwords of archives. They are shown nowhere, written nowhere, and wiped when the last that holds them is gone.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zeroize::Zeroizing;

/// What opens an encrypted archive.
#[derive(Clone, Default)]
pub struct Password(Arc<Zeroizing<String>>);

impl Password {
    pub fn new(text: String) -> Self {
        Self(Arc::new(Zeroizing::new(text)))
    }
    pub fn text(&self) -> &str {
        &self.0
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Password(hidden)")
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl Eq for Password {}

/// Nothing of it goes into a hash, which may be kept or shown; what it opens tells apart well enough.
impl Hash for Password {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// The passwords of some archives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passwords {
    for_all: Option<Password>,
    of: BTreeMap<PathBuf, Password>,
}

impl Passwords {
    /// One for every archive that has none of its own.
    pub fn for_all(password: Option<Password>) -> Self {
        Self { for_all: password, of: BTreeMap::new() }
    }
    pub fn of(&self, archive: &Path) -> Option<&Password> {
        self.of.get(archive).or(self.for_all.as_ref())
    }
    pub fn set(&mut self, archive: PathBuf, password: Password) {
        self.of.insert(archive, password);
    }
    /// Forgets those of all other archives.
    pub fn keep_only(&mut self, archives: &[PathBuf]) {
        self.for_all = None;
        self.of.retain(|archive, _| archives.contains(archive));
    }
    pub fn is_empty(&self) -> bool {
        self.for_all.is_none() && self.of.is_empty()
    }
}

/// How an entry of an archive is encrypted, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Lock {
    pub cipher: Cipher,
    pub password: Password,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// PKWARE's (APPNOTE 6.1). The last byte before the data must be `check`.
    Traditional { check: u8 },
    /// AES in counter mode with a key of 16, 24 or 32 bytes (WinZip AE-1, AE-2). `summed`: the checksum of the archive
    /// holds too (AE-1); the seal behind the data always does.
    Aes { key_bytes: usize, summed: bool },
}

impl Cipher {
    /// The archive's checksum of the decrypted bytes holds.
    pub fn is_summed(self) -> bool {
        !matches!(self, Self::Aes { summed: false, .. })
    }
    /// What stands before and behind the encrypted bytes, in bytes.
    pub fn overhead(self) -> u64 {
        match self {
            Self::Traditional { .. } => 12,
            // Salt of half the key, two bytes that tell a wrong password, the seal.
            Self::Aes { key_bytes, .. } => key_bytes as u64 / 2 + 2 + 10,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_written_out() {
        let lock = Lock { cipher: Cipher::Traditional { check: 1 }, password: Password::new("hunter2".into()) };
        let mut all = Passwords::for_all(Some(lock.password.clone()));
        all.set("a.zip".into(), Password::new("swordfish".into()));
        let text = format!("{lock:?} {all:?} {:?}", lock.password);
        assert!(!text.contains("hunter2") && !text.contains("swordfish"), "{text}");
    }

    #[test]
    fn each_archive_has_its_own_else_that_for_all() {
        let [one, all] = ["one", "all"].map(|text| Password::new(text.into()));
        let mut passwords = Passwords::for_all(Some(all.clone()));
        passwords.set("a.zip".into(), one.clone());
        assert_eq!(passwords.of(Path::new("a.zip")), Some(&one));
        assert_eq!(passwords.of(Path::new("b.zip")), Some(&all));
        passwords.keep_only(&["b.zip".into()]);
        assert!(passwords.is_empty() && passwords.of(Path::new("b.zip")).is_none());
    }
}
