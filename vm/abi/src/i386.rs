//! i386 Linux: where the numbers and struct layouts of 32-bit programs go. They share everything in the crate's
//! root except what is named here.

/// Vector of the `int` instruction that makes an i386 system call.
pub const SYSTEM_CALL_VECTOR: u8 = 0x80;
