//! x87 state.

/// The x87 register stack and its control words.
#[derive(Clone, Default)]
pub struct Fpu {}
