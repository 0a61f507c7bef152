//! Guest bytes in a wasm memory of their own, reached through functions of a small generated module.
//!
//! Rust compiled to wasm can address one memory only, the engine's. The accessor module imports both
//! memories and exports the functions below; the host puts them into the engine's function table, in
//! the order of [`Accessors`], and hands over the index of the first.
#![allow(unsafe_code)] // Table indices become function pointers here, once per memory.

use crate::address::GUEST_TOP;
use crate::state::PageState;

macro_rules! accessors {
    ($( $(#[$doc:meta])* $name:ident: fn($($arg:ty),*) $(-> $ret:ty)?; )*) => {
        /// The accessor module's exports, in table order.
        #[derive(Clone, Copy)]
        pub struct Accessors { $( $(#[$doc])* pub $name: extern "C" fn($($arg),*) $(-> $ret)?, )* }

        const FIELDS: &[&str] = &[$(stringify!($name)),*];
        const _: () = assert!(FIELDS.len() == crate::ACCESSOR_NAMES.len());

        impl Accessors {
            /// Export names in table order.
            pub const NAMES: &'static [&'static str] = crate::ACCESSOR_NAMES;

            /// Takes consecutive entries of the engine's function table.
            ///
            /// # Safety
            /// Entries `first..first + NAMES.len()` must hold the accessor module's exports in order.
            pub unsafe fn from_table(first: u32) -> Self {
                let mut index = first as usize;
                let mut next = || { index += 1; index - 1 };
                Self { $(
                    // SAFETY: on wasm32 a function pointer is a table index; the caller vouches for the entry.
                    $name: unsafe { std::mem::transmute::<usize, extern "C" fn($($arg),*) $(-> $ret)?>(next()) },
                )* }
            }
        }
    };
}

accessors! {
    /// State byte of a page.
    state: fn(u32) -> u32;
    /// Sets the state byte of a page.
    set_state: fn(u32, u32);
    /// Guest address, engine pointer, length.
    copy_out: fn(u32, *mut u8, usize);
    /// Guest address, engine pointer, length.
    copy_in: fn(u32, *const u8, usize);
    /// Guest address, length.
    clear: fn(u32, u32);
    /// Checked loads: the value goes to the engine pointer, the result says whether it did.
    load8: fn(u32, *mut u8) -> u32;
    /// See `load8`.
    load16: fn(u32, *mut u16) -> u32;
    /// See `load8`.
    load32: fn(u32, *mut u32) -> u32;
    /// See `load8`.
    load64: fn(u32, *mut u64) -> u32;
    /// See `load8`.
    load128: fn(u32, *mut u128) -> u32;
    /// Checked stores: the result says whether it happened.
    store8: fn(u32, u32) -> u32;
    /// See `store8`.
    store16: fn(u32, u32) -> u32;
    /// See `store8`.
    store32: fn(u32, u32) -> u32;
    /// See `store8`.
    store64: fn(u32, u64) -> u32;
    /// Two halves, low first. See `store8`.
    store128: fn(u32, u64, u64) -> u32;
}

/// The memory behind one address space.
pub struct HostMemory {
    call: Accessors,
    slot: u32,
}

impl HostMemory {
    /// Wraps the accessors of an all-zero memory that the host knows by `slot`.
    pub fn new(call: Accessors, slot: u32) -> Self {
        Self { call, slot }
    }

    /// Names this memory.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// State byte of a page.
    #[inline(always)]
    pub fn state(&self, page: u32) -> PageState {
        PageState((self.call.state)(page) as u8)
    }

    /// Sets the state byte of a page.
    #[inline(always)]
    pub fn set_state(&mut self, page: u32, state: PageState) {
        (self.call.set_state)(page, u32::from(state.0));
    }

    /// Copies guest bytes out, whatever the page states say.
    pub fn copy_out(&self, addr: u32, to: &mut [u8]) {
        (self.call.copy_out)(addr, to.as_mut_ptr(), to.len());
    }

    /// Copies bytes in, whatever the page states say.
    pub fn copy_in(&mut self, addr: u32, from: &[u8]) {
        (self.call.copy_in)(addr, from.as_ptr(), from.len());
    }

    /// Sets an entry of the lookaside ([`crate::high`]), of which nothing here keeps a copy.
    pub fn set_lookaside(&self, index: u32, entry: u64) {
        (self.call.copy_in)(GUEST_TOP as u32 + index * 8, entry.to_le_bytes().as_ptr(), 8);
    }

    /// Zeroes `len` bytes.
    pub fn clear(&mut self, addr: u32, len: u32) {
        (self.call.clear)(addr, len);
    }

    /// Stores if the page is directly writable and the access stays within it.
    #[inline(always)]
    pub fn store128(&mut self, addr: u32, value: u128) -> Option<()> {
        ((self.call.store128)(addr, value as u64, (value >> 64) as u64) != 0).then_some(())
    }
}

macro_rules! loads {
    ($($load:ident: $ty:ty),*) => { impl HostMemory { $(
        /// Loads if the page is directly readable and the access stays within it.
        #[inline(always)]
        pub fn $load(&self, addr: u32) -> Option<$ty> {
            let mut value = 0;
            ((self.call.$load)(addr, &raw mut value) != 0).then_some(value)
        }
    )* } };
}

macro_rules! stores {
    ($($store:ident: $ty:ty as $wide:ty),*) => { impl HostMemory { $(
        /// Stores if the page is directly writable and the access stays within it.
        #[inline(always)]
        pub fn $store(&mut self, addr: u32, value: $ty) -> Option<()> {
            ((self.call.$store)(addr, <$wide>::from(value)) != 0).then_some(())
        }
    )* } };
}

loads!(load8: u8, load16: u16, load32: u32, load64: u64, load128: u128);
stores!(store8: u8 as u32, store16: u16 as u32, store32: u32 as u32, store64: u64 as u64);
