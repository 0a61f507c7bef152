//! Guest addresses, page numbers, and the sizes that relate them to host offsets.

use std::fmt;
use std::ops::{Add, Sub};

/// Bytes in a page, the guest's and ours.
pub const PAGE_SIZE: u64 = 4096;

/// The bytes of a page.
pub type PageBytes = [u8; PAGE_SIZE as usize];

/// Pages a state map covers: 4 GiB of guest addresses.
pub const PAGE_COUNT: usize = 1 << 20;

/// Host offset of guest address 0: the state map, one byte a page, lies below it.
pub const HOST_BASE: u64 = PAGE_COUNT as u64;

/// First guest address whose byte is not at that place itself: see [`crate::high`]. `HOST_BASE` is lost to the state map, the rest is slack
/// so that an access of up to 16 bytes that starts on a mapped page can't pass the memory's end.
pub const GUEST_TOP: u64 = 0xffe0_0000;

/// An address as guest programs see it. Any 64-bit value may arrive here from a guest register.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestAddr(pub u64);

impl GuestAddr {
    /// The page this address lies in, if any can be mapped there; high addresses aside.
    pub fn page(self) -> Option<PageIndex> {
        (self.0 < GUEST_TOP).then_some(PageIndex((self.0 / PAGE_SIZE) as u32))
    }

    /// Bytes past the start of the page, 0 to 4095.
    pub fn page_offset(self) -> u64 {
        self.0 % PAGE_SIZE
    }

    /// Rounded down to a page boundary.
    pub fn page_start(self) -> GuestAddr {
        GuestAddr(self.0 & !(PAGE_SIZE - 1))
    }

    /// Sum that wraps as the processor's does.
    pub fn wrapping_add(self, bytes: u64) -> GuestAddr {
        GuestAddr(self.0.wrapping_add(bytes))
    }
}

impl Add<u64> for GuestAddr {
    type Output = GuestAddr;
    fn add(self, bytes: u64) -> GuestAddr {
        GuestAddr(self.0.wrapping_add(bytes))
    }
}

impl Sub<GuestAddr> for GuestAddr {
    type Output = u64;
    fn sub(self, other: GuestAddr) -> u64 {
        self.0.wrapping_sub(other.0)
    }
}

impl fmt::Debug for GuestAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for GuestAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Number of a 4 KiB guest page, below `GUEST_TOP / PAGE_SIZE`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PageIndex(pub u32);

impl PageIndex {
    /// First address of the page.
    pub fn start(self) -> GuestAddr {
        GuestAddr(u64::from(self.0) * PAGE_SIZE)
    }
}
