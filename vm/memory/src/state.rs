//! The state byte of a page. Zero is "nothing here", so an untouched state map needs no set-up.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// What may be done to a page directly, and what the kernel layer remembers about it.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct PageState(pub u8);

impl PageState {
    /// Nothing mapped, or not brought in yet.
    pub const ABSENT: PageState = PageState(0);
    /// Loads may go straight to the bytes.
    pub const READ: PageState = PageState(1 << 0);
    /// Stores may go straight to the bytes.
    pub const WRITE: PageState = PageState(1 << 1);
    /// Instructions may be fetched from it.
    pub const EXEC: PageState = PageState(1 << 2);
    /// Code translated from this page is cached somewhere; `WRITE` is off while it is set.
    pub const CODE: PageState = PageState(1 << 3);
    /// The page's bytes are in this memory (even if no access is allowed at the moment).
    pub const PRESENT: PageState = PageState(1 << 4);
    /// The bytes are those of the parent space, which `fork` left there; fetch them on first use.
    pub const INHERITED: PageState = PageState(1 << 5);
    /// A child space may still inherit these bytes: give it its copy before the first store.
    pub const COW: PageState = PageState(1 << 6);
    /// `WRITE` was on before `CODE` took it away.
    pub const WRITE_UNDER_CODE: PageState = PageState(1 << 7);

    /// Whether all bits of `other` are set.
    pub fn has(self, other: PageState) -> bool {
        self.0 & other.0 == other.0
    }

    /// These bits without those of `other`.
    #[must_use]
    pub fn without(self, other: PageState) -> PageState {
        PageState(self.0 & !other.0)
    }
}

impl BitOr for PageState {
    type Output = PageState;
    fn bitor(self, other: PageState) -> PageState {
        PageState(self.0 | other.0)
    }
}

impl BitOrAssign for PageState {
    fn bitor_assign(&mut self, other: PageState) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for PageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [(PageState, &str); 8] = [
            (PageState::READ, "r"),
            (PageState::WRITE, "w"),
            (PageState::EXEC, "x"),
            (PageState::CODE, "code"),
            (PageState::PRESENT, "present"),
            (PageState::INHERITED, "inherited"),
            (PageState::COW, "cow"),
            (PageState::WRITE_UNDER_CODE, "(w)"),
        ];
        let set: Vec<&str> = NAMES.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, name)| *name).collect();
        f.write_str(&if set.is_empty() { "absent".to_string() } else { set.join("+") })
    }
}
