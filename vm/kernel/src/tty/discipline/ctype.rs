//! Kinds of bytes, as Linux's kernel has them: Latin-1 (`lib/ctype.c`), whatever the locale.

/// Control characters; those above 0x7f don't count.
pub(super) fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// A byte of a UTF-8 character other than its first.
pub(super) fn is_continuation(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

fn is_upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || matches!(byte, 0xc0..=0xde if byte != 0xd7)
}

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || matches!(byte, 0xdf.. if byte != 0xf7)
}

/// Letters and digits.
pub(super) fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_digit() || is_upper(byte) || is_lower(byte)
}

/// The capital letter; it lies 32 below even for the two letters that have none.
pub(super) fn to_upper(byte: u8) -> u8 {
    if is_lower(byte) { byte - 32 } else { byte }
}

/// The small letter.
pub(super) fn to_lower(byte: u8) -> u8 {
    if is_upper(byte) { byte + 32 } else { byte }
}
