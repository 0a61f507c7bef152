//! Lazy flags.

/// How the status flags follow from the lazy-flag slots.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum FlagKind {
    /// The result slot holds the flags themselves, as in RFLAGS.
    #[default]
    Bits,
}
