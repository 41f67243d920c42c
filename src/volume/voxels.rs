//! Memory for the whole numbers of slices: of a slice alone, or a part of a room that several share.
//!
//! For slices with memory of their own the kernel takes longer to hand it out than reading them from the page cache takes:
//! 512 x 512 pixels are 128 pages of 4 KiB. So many slices share a room of large pages ([`crate::pages`]) that it is filled.

use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::pages::{LARGE_PAGE, Pages};

/// A room of several slices is no larger, bytes.
const ROOM_MAX: usize = 16 << 20;
/// Of a room at most the 16th part may stay empty, where that can be had.
const EMPTY_PART: usize = 16;

/// Whole numbers of one slice, row-major.
#[derive(Clone)]
pub struct Voxels(Memory);

#[derive(Clone)]
enum Memory {
    Own(Vec<i16>),
    /// These bytes of a room.
    Shared(Arc<Pages>, Range<usize>),
}

impl Deref for Voxels {
    type Target = [i16];

    fn deref(&self) -> &[i16] {
        match &self.0 {
            Memory::Own(values) => values,
            // The range lies inside and a room begins at a page, so that neither of both fails.
            Memory::Shared(room, range) => {
                room.get(range.clone()).and_then(|bytes| bytemuck::try_cast_slice(bytes).ok()).unwrap_or_default()
            }
        }
    }
}

impl From<Vec<i16>> for Voxels {
    fn from(values: Vec<i16>) -> Self {
        Self(Memory::Own(values))
    }
}

impl FromIterator<i16> for Voxels {
    fn from_iter<I: IntoIterator<Item = i16>>(values: I) -> Self {
        Self(Memory::Own(values.into_iter().collect()))
    }
}

impl PartialEq for Voxels {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl std::fmt::Debug for Voxels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

/// Room for the voxels of several slices of one size, which are written one after the other.
pub struct Room {
    pages: Pages,
    slice_bytes: usize,
    slices: usize,
    kept: usize,
}

impl Room {
    /// Room for [`Room::slices`] of so many voxels. `None` where nothing is gained by it or the system has none to give.
    pub fn new(voxels: usize) -> Option<Self> {
        let slices = Self::slices(voxels).filter(|_| cfg!(target_os = "linux"))?;
        let slice_bytes = voxels.checked_mul(size_of::<i16>())?;
        let pages = Pages::new(slice_bytes.checked_mul(slices)?)?;
        Some(Self { pages, slice_bytes, slices, kept: 0 })
    }

    /// How many slices of so many voxels share a room: the fewest that fill whole large pages, or those that come nearest to it.
    /// `None` for slices of nothing.
    pub fn slices(voxels: usize) -> Option<usize> {
        let bytes = voxels.checked_mul(size_of::<i16>()).filter(|bytes| *bytes > 0)?;
        let (fewest, most) = ((LARGE_PAGE - LARGE_PAGE / EMPTY_PART) / bytes, ROOM_MAX / bytes);
        // In parts of a room, so that rooms with less than one part empty are equally good.
        let empty = |slices: &usize| {
            let filled = bytes.saturating_mul(*slices);
            let room = filled.checked_next_multiple_of(LARGE_PAGE).unwrap_or(usize::MAX);
            (room - filled).saturating_mul(EMPTY_PART) / room
        };
        let counts = || fewest.max(1)..=most.max(1);
        counts().find(|slices| empty(slices) == 0).or_else(|| counts().min_by_key(empty))
    }

    /// Where the next slice is written; `None` when the room is full.
    pub fn next_slice(&mut self) -> Option<&mut [i16]> {
        let range = self.range(self.kept).filter(|_| !self.is_full())?;
        bytemuck::try_cast_slice_mut(self.pages.get_mut(range)?).ok()
    }

    /// Keeps what was written to [`Room::next_slice`].
    pub fn keep(&mut self) {
        self.kept = self.slices.min(self.kept + 1);
    }

    pub fn is_full(&self) -> bool {
        self.kept == self.slices
    }

    /// The slices that were kept.
    pub fn into_slices(self) -> Vec<Voxels> {
        let ranges: Vec<Range<usize>> = (0..self.kept).filter_map(|index| self.range(index)).collect();
        let pages = Arc::new(self.pages);
        ranges.into_iter().map(|range| Voxels(Memory::Shared(Arc::clone(&pages), range))).collect()
    }

    fn range(&self, index: usize) -> Option<Range<usize>> {
        let start = self.slice_bytes.checked_mul(index)?;
        Some(start..start.checked_add(self.slice_bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_fill_their_rooms() {
        // 512 x 512 and 1024 x 1024 go into a large page without a rest.
        assert_eq!(Room::slices(512 * 512), Some(4));
        assert_eq!(Room::slices(1024 * 1024), Some(1));
        assert_eq!(Room::slices(2048 * 2048), Some(1));
        // A room for one would be empty for a quarter, and more are not tried than `ROOM_MAX` holds.
        assert_eq!(Room::slices(1500 * 1500), Some(3));
        assert_eq!(Room::slices(0), None);
        assert_eq!(Room::slices(usize::MAX), None);
        assert_eq!(Room::slices(usize::MAX / 2), Some(1));
        for edge in [1, 3, 64, 200, 400, 500, 768, 800, 888, 1000, 4000] {
            let bytes = edge * edge * 2;
            let filled = bytes * Room::slices(edge * edge).expect("some");
            let room = filled.next_multiple_of(LARGE_PAGE);
            assert!(filled <= ROOM_MAX.max(bytes), "{edge}");
            assert!((room - filled) * EMPTY_PART < room, "{edge}: {filled} of {room} bytes");
        }
    }

    #[test]
    fn slices_of_a_room_stand_apart() {
        let Some(mut room) = Room::new(512 * 512) else { return };
        for value in 1..=3 {
            room.next_slice().expect("not full").fill(value);
            room.keep();
        }
        // Written and not kept.
        room.next_slice().expect("not full").fill(9);
        assert!(!room.is_full());
        let slices = room.into_slices();
        assert_eq!(slices.len(), 3);
        for (slice, value) in slices.iter().zip(1..) {
            assert_eq!(slice.len(), 512 * 512);
            assert!(slice.iter().all(|v| *v == value));
            assert_eq!(*slice, Voxels::from(vec![value; 512 * 512]));
        }
        let last = slices[2].clone();
        drop(slices);
        assert_eq!(last.last(), Some(&3));
    }

    #[test]
    fn a_full_room_takes_no_more() {
        let Some(mut room) = Room::new(1024 * 1024) else { return };
        assert!(room.next_slice().is_some());
        room.keep();
        assert!(room.is_full() && room.next_slice().is_none());
        room.keep();
        assert_eq!(room.into_slices().len(), 1);
    }
}
