//! Lookup tables that a file offers instead of a window (VOI LUT, PS3.3 C.11.2.1.1).

use super::Window;

/// Most entries that a table can have; its descriptor says 0 for them.
pub const MOST_TABLE_ENTRIES: usize = 1 << 16;
/// Shares of a table's whole rise between which it is compared with a window.
const RISE: [f64; 2] = [0.1, 0.9];

/// Grey by value: an entry for each whole value from `first` on. Below the first value its entry holds, above the last one
/// the last. Values are those of the volume, which is after the rescale (HU for CT).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiTable {
    name: String,
    first: i32,
    /// 1 to [`MOST_TABLE_ENTRIES`].
    entries: Vec<u16>,
    /// What white is.
    maximum: u16,
}

impl VoiTable {
    /// `name` is what the file calls it; `bits` (1 to 16) say what white is. `None` for no entry, too many of them or one
    /// that is more than white.
    pub fn new(name: &str, first: i32, entries: Vec<u16>, bits: u32) -> Option<Self> {
        let maximum = u16::try_from(1u32.checked_shl(bits)?.checked_sub(1)?).ok().filter(|white| *white > 0)?;
        let fits = (1..=MOST_TABLE_ENTRIES).contains(&entries.len()) && entries.iter().all(|entry| *entry <= maximum);
        let reaches = first.checked_add(MOST_TABLE_ENTRIES as i32).is_some() && first.unsigned_abs() < 1 << 20;
        (fits && reaches).then(|| Self { name: name.trim().to_owned(), first, entries, maximum })
    }
    /// What the file calls it; may be empty.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The value of the first entry.
    pub fn first(&self) -> i32 {
        self.first
    }
    pub fn entries(&self) -> &[u16] {
        &self.entries
    }
    /// The entry that is white.
    pub fn maximum(&self) -> u16 {
        self.maximum
    }
    /// The picture gets darker as values rise, from the first entry to the last.
    pub fn falls(&self) -> bool {
        self.entries.first() > self.entries.last()
    }
    fn entry(&self, index: usize) -> u16 {
        self.entries.get(index).or(self.entries.last()).copied().unwrap_or(0)
    }
    /// 8-bit grey: the floor of the entry's share of white times 255. Between two whole values, which an interpolated
    /// picture has, between their entries.
    pub fn grey8(&self, x: f32) -> u8 {
        if x.is_nan() {
            return 0;
        }
        let last = self.entries.len() - 1;
        let first = self.first as f32;
        let place = x.clamp(first, (self.first + last as i32) as f32) - first;
        let (low, share) = (place.floor() as usize, place - place.floor());
        let (a, b) = (self.entry(low), self.entry((low + 1).min(last)));
        if share == 0.0 {
            return (u32::from(a) * 255 / u32::from(self.maximum)) as u8;
        }
        let between = f32::from(a) * (1.0 - share) + f32::from(b) * share;
        (between * 255.0 / f32::from(self.maximum)).floor().clamp(0.0, 255.0) as u8
    }
    /// The table as a window: centre and width are those of the straight line through where it has risen (or fallen) by a
    /// tenth and by nine tenths, so that a hand can go on from there.
    pub fn into_window(self) -> Window {
        let (least, most) = self.entries.iter().fold((u16::MAX, 0), |(a, b), e| (a.min(*e), b.max(*e)));
        let (start, end) = (f64::from(self.entry(0)), f64::from(self.entry(self.entries.len() - 1)));
        let rise = f64::from(most - least);
        let at = |index: Option<usize>, otherwise: usize| f64::from(self.first) + index.unwrap_or(otherwise) as f64;
        let left = self.entries.iter().position(|e| (f64::from(*e) - start).abs() >= RISE[0] * rise);
        let right = self.entries.iter().rposition(|e| (f64::from(*e) - end).abs() >= (1.0 - RISE[1]) * rise);
        let (low, high) = (at(left, 0), at(right, self.entries.len() - 1));
        let (low, high) =
            if rise == 0.0 || high <= low { (at(None, 0), at(None, self.entries.len())) } else { (low, high) };
        let width = ((high - low) / (RISE[1] - RISE[0])).max(1.0).round();
        let window = Window::linear(((low + high) / 2.0).round(), width);
        Window { table: Some(std::sync::Arc::new(self)), ..window }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(first: i32, entries: &[u16], bits: u32) -> VoiTable {
        VoiTable::new("T", first, entries.to_vec(), bits).expect("a table")
    }

    #[test]
    fn whole_values_have_their_entry_and_what_lies_beyond_the_nearest() {
        let t = table(-2, &[0, 10, 200, 255], 8);
        let got: Vec<u8> = [-1e30, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 1e30].map(|x| t.grey8(x)).into();
        assert_eq!(got, [0, 0, 0, 10, 200, 255, 255, 255]);
        assert_eq!((t.grey8(-0.5), t.grey8(f32::NAN)), (105, 0), "between entries; no value");
    }

    #[test]
    fn sixteen_bits_become_eight_by_the_floor() {
        let entries: Vec<u16> = (0..=u16::MAX).collect();
        let t = table(-32768, &entries, 16);
        for x in (-32768..=32767).step_by(7) {
            let entry = u32::from((x + 32768) as u16);
            assert_eq!(u32::from(t.grey8(x as f32)), entry * 255 / 65535, "{x}");
        }
        assert_eq!(table(0, &[1023, 512], 10).grey8(1.0), (512 * 255 / 1023) as u8);
    }

    #[test]
    fn what_is_no_table_is_none() {
        let none = |first, entries: Vec<u16>, bits| VoiTable::new("", first, entries, bits).is_none();
        assert!(none(0, vec![], 8) && none(0, vec![0; 65537], 16) && none(0, vec![256], 8) && none(0, vec![0], 0));
        assert!(none(0, vec![0], 17) && none(0, vec![0], 99) && none(i32::MAX, vec![0], 8));
        assert!(!none(-32768, vec![0; 65536], 16));
    }

    #[test]
    fn a_ramp_becomes_its_own_window_and_a_constant_one_over_all() {
        let ramp: Vec<u16> = (0..=400).map(|i| i * 163).collect();
        let window = table(-160, &ramp, 16).into_window();
        assert_eq!((window.center, window.width), (40.0, 400.0));
        let falling: Vec<u16> = ramp.iter().rev().copied().collect();
        let t = table(-160, &falling, 16);
        assert!(t.falls());
        let window = t.into_window();
        assert_eq!((window.center, window.width), (40.0, 400.0));
        let flat = table(100, &[7; 50], 8).into_window();
        assert!(flat.is_valid() && (100.0..=150.0).contains(&flat.center), "{flat:?}");
        assert!(table(0, &[0], 8).into_window().is_valid());
        assert!(table(0, &[0, 255, 0, 255, 0], 8).into_window().is_valid());
    }
}
