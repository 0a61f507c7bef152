//! The intermediate representation.

/// Who owns which slot.
pub mod slot {
    /// Base of the FS segment.
    pub const FS_BASE: u8 = 16;
    /// Base of the GS segment.
    pub const GS_BASE: u8 = 17;
}
