//! `Credentials`: on whose behalf a task acts (`credentials(7)`).
//!
//! | module | subject |
//! |---|---|
//! | [`capabilities`] | what it may do beyond what its ids allow |

mod capabilities;

use abi::capability::CAP_FOWNER;

pub use capabilities::{Capabilities, CapabilitySet, FileCapabilities};

/// User and group ids of a task. Tasks share one (`Rc<Credentials>`) until one of them changes its own.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names are those of credentials(7).
pub struct Credentials {
    pub uid: u32,
    pub euid: u32,
    pub suid: u32,
    pub fsuid: u32,
    pub gid: u32,
    pub egid: u32,
    pub sgid: u32,
    pub fsgid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    pub capabilities: Capabilities,
}

impl Credentials {
    /// The superuser.
    pub fn root() -> Self {
        Self::user(0, 0, Vec::new())
    }

    /// A user with all ids the same.
    pub fn user(uid: u32, gid: u32, groups: Vec<u32>) -> Self {
        let capabilities = Capabilities::of_user(uid);
        Self { uid, euid: uid, suid: uid, fsuid: uid, gid, egid: gid, sgid: gid, fsgid: gid, groups, capabilities }
    }

    /// Whether it acts on files as a member of `gid`.
    pub fn in_group(&self, gid: u32) -> bool {
        self.fsgid == gid || self.groups.contains(&gid)
    }

    /// Whether it may do to a file of `owner` what only its owner may.
    pub fn owns(&self, owner: u32) -> bool {
        self.fsuid == owner || self.has(CAP_FOWNER)
    }
}
