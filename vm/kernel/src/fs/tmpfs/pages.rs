//! `Pages`: contents of a regular file, sparse.

use std::collections::BTreeMap;

/// Bytes in a page.
pub(super) const PAGE: u64 = 4096;

/// Contents of a file: the pages that have been written to; the rest reads as zeros.
#[derive(Default)]
pub(super) struct Pages {
    pages: BTreeMap<u64, Box<[u8]>>,
}

/// A piece of a page: index of the page, where in the page it starts, how long it is.
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let (mut at, mut left) = (offset, len);
    std::iter::from_fn(move || {
        let (start, room) = ((at % PAGE) as usize, (PAGE - at % PAGE) as usize);
        let piece = (at / PAGE, start, room.min(left));
        at = at.saturating_add(piece.2 as u64);
        left -= piece.2;
        (piece.2 > 0).then_some(piece)
    })
}

impl Pages {
    /// Pages in use.
    pub(super) fn count(&self) -> u64 {
        self.pages.len() as u64
    }

    /// Fills `to` from `offset` on; the caller has made sure that it ends within the file.
    pub(super) fn read(&self, offset: u64, mut to: &mut [u8]) {
        for (index, start, len) in pieces(offset, to.len()) {
            let (piece, rest) = std::mem::take(&mut to).split_at_mut(len);
            match self.pages.get(&index) {
                Some(page) => piece.copy_from_slice(&page[start..start + len]),
                None => piece.fill(0),
            }
            to = rest;
        }
    }

    /// Writes as much of `from` as fits when `pages_free` more pages can be had.
    pub(super) fn write(&mut self, offset: u64, mut from: &[u8], mut pages_free: u64) -> usize {
        let mut written = 0;
        for (index, start, len) in pieces(offset, from.len()) {
            if !self.pages.contains_key(&index) {
                if pages_free == 0 {
                    break;
                }
                pages_free -= 1;
            }
            let page = self.pages.entry(index).or_insert_with(|| vec![0; PAGE as usize].into());
            let (piece, rest) = from.split_at(len);
            page[start..start + len].copy_from_slice(piece);
            from = rest;
            written += len;
        }
        written
    }

    /// Forgets what lies past `size_bytes`, which then reads as zeros.
    pub(super) fn truncate(&mut self, size_bytes: u64) {
        self.pages.split_off(&size_bytes.div_ceil(PAGE));
        if let Some(page) = self.pages.get_mut(&(size_bytes / PAGE)) {
            page[(size_bytes % PAGE) as usize..].fill(0);
        }
    }

    /// Makes sure that there is a page for every byte from `start` to `end`; returns how many are new, or `None` if that
    /// would be more than `pages_free`.
    pub(super) fn allocate(&mut self, start: u64, end: u64, pages_free: u64) -> Option<u64> {
        let range = start / PAGE..end.div_ceil(PAGE);
        let there = self.pages.range(range.clone()).count() as u64;
        let missing = (range.end - range.start) - there;
        if missing > pages_free {
            return None;
        }
        for index in range {
            self.pages.entry(index).or_insert_with(|| vec![0; PAGE as usize].into());
        }
        Some(missing)
    }

    /// Forgets what is from `start` to `end`, which then reads as zeros.
    pub(super) fn punch(&mut self, start: u64, end: u64) {
        let range = start / PAGE..end.div_ceil(PAGE);
        let touched: Vec<u64> = self.pages.range(range).map(|(index, _)| *index).collect();
        for index in touched {
            let first = index * PAGE;
            if start <= first && first.saturating_add(PAGE) <= end {
                self.pages.remove(&index);
            } else if let Some(page) = self.pages.get_mut(&index) {
                page[start.saturating_sub(first) as usize..(end - first).min(PAGE) as usize].fill(0);
            }
        }
    }
}
