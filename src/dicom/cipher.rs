//! Encrypted entries of zip archives: PKWARE's traditional encryption (APPNOTE 6.1) and AES as WinZip writes it (AE-1 and
//! AE-2). The first is weak and still what most programs write; both are read only.

use std::io::{Read, Take};

use aes::cipher::{Block, BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use hmac::Hmac;
use sha1::Sha1;
use zeroize::{Zeroize, Zeroizing};

use super::Problem;
use crate::study::Kind;
use crate::study::password::{Cipher, Lock, Password};

/// What tells a wrong password, in bytes.
const VERIFIER: usize = 2;
/// The seal behind the data, in bytes.
pub(super) const SEAL: usize = 10;
/// Rounds of the derivation of a key.
const ROUNDS: u32 = 1000;
/// Blocks of 16 bytes that are made at a time, since processors work on several at once.
const BATCH: usize = 32;
const BLOCK: usize = 16;

/// Decrypted bytes of an entry.
pub(super) type Plain = Box<dyn Read + Send>;

/// What proves that nothing was changed: computed over the encrypted bytes.
pub(super) type Seal = Hmac<Sha1>;

/// Opens the encrypted bytes of an entry, which are all of `packed`; the other value is the seal, where there is one.
pub(super) fn open<R: Read + Send + 'static>(
    mut packed: Take<R>,
    lock: &Lock,
) -> Result<(Plain, Option<Seal>), Problem> {
    if packed.limit() < lock.cipher.overhead() {
        return Err(Problem::new(
            Kind::Corrupt,
            "it is encrypted and shorter than that needs; copy the archive again from its source",
        ));
    }
    match lock.cipher {
        Cipher::Traditional { check } => {
            let mut keys = Keys::of(&lock.password);
            let mut head = [0; 12];
            packed.read_exact(&mut head).map_err(|e| super::source::damaged_entry(&e))?;
            let last = head.map(|byte| keys.decrypt(byte))[11];
            if last != check {
                return Err(wrong_password());
            }
            Ok((Box::new(Traditional { packed, keys }), None))
        }
        Cipher::Aes { key_bytes, .. } => {
            let mut salt = vec![0; key_bytes / 2];
            let mut verifier = [0; VERIFIER];
            let read = packed.read_exact(&mut salt).and_then(|()| packed.read_exact(&mut verifier));
            read.map_err(|e| super::source::damaged_entry(&e))?;
            let derived = derived(&lock.password, &salt, 2 * key_bytes + VERIFIER)?;
            let (key, rest) = derived.split_at(key_bytes);
            let (seal, expected) = rest.split_at(key_bytes);
            if expected != verifier {
                return Err(wrong_password());
            }
            let seal = Seal::new_from_slice(seal).map_err(|_| unusable())?;
            let encrypted = packed.limit().saturating_sub(SEAL as u64);
            packed.set_limit(encrypted);
            let plain: Plain = match key_bytes {
                16 => Box::new(Counted::<Aes128, R>::new(packed, key)?),
                24 => Box::new(Counted::<Aes192, R>::new(packed, key)?),
                _ => Box::new(Counted::<Aes256, R>::new(packed, key)?),
            };
            Ok((plain, Some(seal)))
        }
    }
}

fn wrong_password() -> Problem {
    Problem::new(
        Kind::Encrypted,
        "it is encrypted, and the password given does not open it; give another or unpack it and open the folder",
    )
}

fn unusable() -> Problem {
    Problem::new(Kind::Corrupt, "its encryption has a key of an unknown length; unpack it and open the folder")
}

fn derived(password: &Password, salt: &[u8], length: usize) -> Result<Zeroizing<Vec<u8>>, Problem> {
    let mut key = Zeroizing::new(vec![0; length]);
    pbkdf2::pbkdf2::<Hmac<Sha1>>(password.text().as_bytes(), salt, ROUNDS, &mut key).map_err(|_| unusable())?;
    Ok(key)
}

/// CRC-32 of single bytes, as the traditional keys are made with it.
const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let (mut value, mut bit) = (index as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0xEDB8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

fn crc(sum: u32, byte: u8) -> u32 {
    let [low, ..] = sum.to_le_bytes();
    sum >> 8 ^ CRC.get(usize::from(low ^ byte)).copied().unwrap_or_default()
}

/// The three keys of the traditional encryption.
struct Keys([u32; 3]);

impl Keys {
    fn of(password: &Password) -> Self {
        let mut keys = Self([0x1234_5678, 0x2345_6789, 0x3456_7890]);
        password.text().bytes().for_each(|byte| keys.turn(byte));
        keys
    }
    fn turn(&mut self, plain: u8) {
        let [a, b, c] = &mut self.0;
        *a = crc(*a, plain);
        *b = b.wrapping_add(*a & 0xFF).wrapping_mul(134_775_813).wrapping_add(1);
        *c = crc(*c, b.to_le_bytes()[3]);
    }
    fn decrypt(&mut self, byte: u8) -> u8 {
        let [_, _, c] = self.0;
        let [low, high, ..] = (c | 2).to_le_bytes();
        let word = u16::from_le_bytes([low, high]);
        let plain = byte ^ word.wrapping_mul(word ^ 1).to_le_bytes()[1];
        self.turn(plain);
        plain
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

struct Traditional<R> {
    packed: Take<R>,
    keys: Keys,
}

impl<R: Read> Read for Traditional<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.packed.read(into)?;
        into.iter_mut().take(read).for_each(|byte| *byte = self.keys.decrypt(*byte));
        Ok(read)
    }
}

/// AES in counter mode; the counter begins at 1, its lowest byte first.
struct Counted<C, R> {
    packed: Take<R>,
    cipher: C,
    counter: u128,
    stream: [u8; BATCH * BLOCK],
    used: usize,
}

impl<C: KeyInit + BlockCipherEncrypt, R> Counted<C, R> {
    fn new(packed: Take<R>, key: &[u8]) -> Result<Self, Problem> {
        let cipher = C::new_from_slice(key).map_err(|_| unusable())?;
        Ok(Self { packed, cipher, counter: 1, stream: [0; BATCH * BLOCK], used: BATCH * BLOCK })
    }
    fn refill(&mut self) {
        let mut blocks: [Block<C>; BATCH] = Default::default();
        for block in &mut blocks {
            block.copy_from_slice(&self.counter.to_le_bytes());
            self.counter = self.counter.wrapping_add(1);
        }
        self.cipher.encrypt_blocks(&mut blocks);
        for (part, block) in self.stream.chunks_exact_mut(BLOCK).zip(&blocks) {
            part.copy_from_slice(block);
        }
        self.used = 0;
    }
}

impl<C: KeyInit + BlockCipherEncrypt, R: Read> Read for Counted<C, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.packed.read(into)?;
        let mut rest = into.get_mut(..read).unwrap_or_default();
        while !rest.is_empty() {
            if self.used == self.stream.len() {
                self.refill();
            }
            let ready = self.stream.get(self.used..).unwrap_or_default();
            let (now, later) = rest.split_at_mut(ready.len().min(rest.len()));
            now.iter_mut().zip(ready).for_each(|(byte, key)| *byte ^= key);
            self.used += now.len();
            rest = later;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(bytes: Vec<u8>, cipher: Cipher, password: &str) -> Result<Vec<u8>, Kind> {
        let len = bytes.len() as u64;
        let lock = Lock { cipher, password: Password::new(password.to_owned()) };
        let (mut plain, _) = open(std::io::Cursor::new(bytes).take(len), &lock).map_err(|problem| problem.kind)?;
        let mut out = Vec::new();
        // In pieces that are no multiple of a block.
        let mut piece = [0; 7];
        loop {
            match plain.read(&mut piece).expect("reads") {
                0 => return Ok(out),
                n => out.extend(&piece[..n]),
            }
        }
    }

    #[test]
    fn what_is_too_short_or_has_another_password_is_refused() {
        let aes = Cipher::Aes { key_bytes: 32, summed: false };
        assert_eq!(opened(vec![0; 27], aes, "x"), Err(Kind::Corrupt));
        assert_eq!(opened(vec![0; 28], aes, "x"), Err(Kind::Encrypted));
        assert_eq!(opened(vec![0; 11], Cipher::Traditional { check: 0 }, "x"), Err(Kind::Corrupt));
        let (right, wrong): (Vec<u8>, Vec<u8>) =
            (0..=255).partition(|check| opened(vec![7; 20], Cipher::Traditional { check: *check }, "x").is_ok());
        assert_eq!((right.len(), wrong.len()), (1, 255));
    }

    /// FIPS 197 appendix C: AES of 00112233..FF with the key 000102... is the first block of a stream whose counter is that.
    #[test]
    fn the_counter_runs_lowest_byte_first() {
        let key: Vec<u8> = (0..32).collect();
        let mut counted = Counted::<Aes256, _>::new(std::io::empty().take(0), &key).expect("a key");
        counted.counter = u128::from_le_bytes(std::array::from_fn(|i| 0x11 * u8::try_from(i).expect("small")));
        counted.refill();
        let expected = [0x8E, 0xA2, 0xB7, 0xCA, 0x51, 0x67, 0x45, 0xBF, 0xEA, 0xFC, 0x49, 0x90, 0x4B, 0x49, 0x60, 0x89];
        assert_eq!(counted.stream[..16], expected);
        assert_ne!(counted.stream[16..32], expected);
    }
}
