//! Memory in large pages, for what is read or written once from end to end.
//!
//! The kernel hands out fresh memory page by page and clears each page first, and a processor looks up each page that it comes
//! to. With pages of 4 KiB both take longer than the reading itself where voxels come from the page cache, or weights and
//! activations of a network from a far cache.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

/// Bytes of a large page.
pub const LARGE_PAGE: usize = 2 << 20;

/// Whole large pages of zeros, where the system has such; else of small ones.
pub struct Pages(MmapMut);

impl Pages {
    /// At least so many bytes. `None` where the system gives no memory.
    pub fn new(bytes: usize) -> Option<Self> {
        // A length of whole large pages is laid out to begin at one.
        let pages = MmapMut::map_anon(bytes.checked_next_multiple_of(LARGE_PAGE)?).ok()?;
        // Without large pages it is as good as any memory.
        #[cfg(target_os = "linux")]
        pages.advise(memmap2::Advice::HugePage).ok();
        Some(Self(pages))
    }
}

impl Deref for Pages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_whole_and_zero() {
        for bytes in [1, LARGE_PAGE, LARGE_PAGE + 1] {
            let mut pages = Pages::new(bytes).expect("some memory");
            assert_eq!(pages.len(), bytes.next_multiple_of(LARGE_PAGE));
            assert!(pages.iter().all(|byte| *byte == 0));
            pages[bytes - 1] = 1;
        }
        assert!(Pages::new(usize::MAX).is_none());
    }
}
