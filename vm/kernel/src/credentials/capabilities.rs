//! What a task may do beyond what its ids allow (`capabilities(7)`), and how that changes: with the user ids, with
//! `execve(2)`, and on request.

use std::ops::{BitAnd, BitOr};

use abi::Errno;
use abi::capability::*;

use super::Credentials;

/// A set of capabilities, a bit for each.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct CapabilitySet(pub u64);

impl CapabilitySet {
    /// None.
    pub const NONE: Self = Self(0);
    /// All there are.
    pub const ALL: Self = Self((1 << (CAP_LAST_CAP + 1)) - 1);
    /// Those about files, which follow the file system's user id.
    const FILES: Self = Self(
        1 << CAP_CHOWN
            | 1 << CAP_MKNOD
            | 1 << CAP_DAC_OVERRIDE
            | 1 << CAP_DAC_READ_SEARCH
            | 1 << CAP_FOWNER
            | 1 << CAP_FSETID
            | 1 << CAP_MAC_OVERRIDE
            | 1 << CAP_LINUX_IMMUTABLE,
    );

    /// The set of one.
    pub fn of(capability: u32) -> Self {
        Self(1 << capability)
    }

    /// Whether a capability is in it.
    pub fn has(self, capability: u32) -> bool {
        self.contains(Self::of(capability))
    }

    /// Whether all of another set are.
    pub fn contains(self, other: Self) -> bool {
        other.without(self) == Self::NONE
    }

    /// It without those of another.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitAnd for CapabilitySet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for CapabilitySet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The sets of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // The names are those of capabilities(7).
pub struct Capabilities {
    pub permitted: CapabilitySet,
    pub effective: CapabilitySet,
    pub inheritable: CapabilitySet,
    pub bounding: CapabilitySet,
    pub ambient: CapabilitySet,
    /// `SECBIT_*`.
    pub secure_bits: u32,
}

impl Capabilities {
    /// Those of the superuser, or of somebody else.
    pub fn of_user(uid: u32) -> Self {
        let (all, none) = (CapabilitySet::ALL, CapabilitySet::NONE);
        let own = if uid == 0 { all } else { none };
        Self { permitted: own, effective: own, inheritable: none, bounding: all, ambient: none, secure_bits: 0 }
    }

    /// Whether a bit of `SECBIT_*` is set.
    pub fn is_secured(&self, bit: u32) -> bool {
        self.secure_bits & bit != 0
    }

    /// `capset(2)`: takes on other sets.
    ///
    /// # Errors
    /// `EPERM` if they have more than they may.
    pub fn replace(
        &mut self,
        permitted: CapabilitySet,
        effective: CapabilitySet,
        inheritable: CapabilitySet,
    ) -> Result<(), Errno> {
        let may_inherit_any = self.effective.has(CAP_SETPCAP);
        let inherits_own = (self.inheritable | self.permitted).contains(inheritable);
        let is_bounded = (self.inheritable | self.bounding).contains(inheritable);
        let shrinks = self.permitted.contains(permitted) && permitted.contains(effective);
        if !(shrinks && is_bounded && (may_inherit_any || inherits_own)) {
            return Err(Errno::EPERM);
        }
        (self.permitted, self.effective, self.inheritable) = (permitted, effective, inheritable);
        self.ambient = self.ambient & permitted & inheritable;
        Ok(())
    }

    /// `PR_SET_SECUREBITS`.
    ///
    /// # Errors
    /// `EPERM` if locked bits would change, or there are such bits not.
    pub fn set_secure_bits(&mut self, bits: u32) -> Result<(), Errno> {
        const ALL: u32 = 0xff;
        const LOCKS: u32 = 0xaa;
        let locks = self.secure_bits & LOCKS;
        let changes_locked = (locks >> 1) & (self.secure_bits ^ bits) != 0;
        if changes_locked || locks & !bits != 0 || bits & !ALL != 0 || !self.effective.has(CAP_SETPCAP) {
            return Err(Errno::EPERM);
        }
        self.secure_bits = bits;
        Ok(())
    }
}

/// What a file gives those who execute it: its attribute `security.capability`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileCapabilities {
    permitted: CapabilitySet,
    inheritable: CapabilitySet,
    effective: bool,
}

impl FileCapabilities {
    /// Reads the attribute's value; `None` if it is for root of another user namespace.
    ///
    /// # Errors
    /// `EINVAL` if it says nothing that Linux knows.
    pub fn parse(value: &[u8]) -> Result<Option<Self>, Errno> {
        let words: Vec<u32> =
            value.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect();
        let revision = words.first().map(|magic| magic & VFS_CAP_REVISION_MASK);
        let pairs = match (revision, value.len()) {
            (Some(VFS_CAP_REVISION_1), 12) => 1,
            (Some(VFS_CAP_REVISION_2), 20) | (Some(VFS_CAP_REVISION_3), 24) => 2,
            _ => return Err(Errno::EINVAL),
        };
        let set = |first: usize| {
            let upper = if pairs == 2 { words[first + 2] } else { 0 };
            CapabilitySet(u64::from(words[first]) | u64::from(upper) << 32) & CapabilitySet::ALL
        };
        let effective = words[0] & VFS_CAP_FLAGS_EFFECTIVE != 0;
        let is_ours = words.get(5).is_none_or(|root| *root == 0);
        Ok(is_ours.then(|| Self { permitted: set(1), inheritable: set(2), effective }))
    }
}

impl Credentials {
    /// Whether it has a capability in effect.
    pub fn has(&self, capability: u32) -> bool {
        self.capabilities.effective.has(capability)
    }

    /// After user ids have changed from `old`'s: who is no longer root loses what root had.
    pub fn adjust_to_user(&mut self, old: &Credentials) {
        let caps = &mut self.capabilities;
        if caps.is_secured(SECBIT_NO_SETUID_FIXUP) {
            return;
        }
        let was_root = [old.uid, old.euid, old.suid].contains(&0);
        if was_root && ![self.uid, self.euid, self.suid].contains(&0) {
            if !caps.is_secured(SECBIT_KEEP_CAPS) {
                (caps.permitted, caps.effective) = Default::default();
            }
            caps.ambient = CapabilitySet::NONE;
        }
        match (old.euid, self.euid) {
            (0, 1..) => caps.effective = CapabilitySet::NONE,
            (1.., 0) => caps.effective = caps.permitted,
            _ => {}
        }
    }

    /// After the file system's user id has changed from `old`.
    pub fn adjust_to_file_user(&mut self, old: u32) {
        let caps = &mut self.capabilities;
        let files = CapabilitySet::FILES;
        match (old, self.fsuid) {
            _ if caps.is_secured(SECBIT_NO_SETUID_FIXUP) => {}
            (0, 1..) => caps.effective = caps.effective.without(files),
            (1.., 0) => caps.effective = caps.effective | caps.permitted & files,
            _ => {}
        }
    }

    /// Whether a change from `old` to this is a reason for others not to look into the process (`PR_SET_DUMPABLE`).
    pub fn guards_against_others(&self, old: &Credentials) -> bool {
        let acts_as = |who: &Credentials| [who.euid, who.egid, who.fsuid, who.fsgid];
        acts_as(old) != acts_as(self) || !old.capabilities.permitted.contains(self.capabilities.permitted)
    }

    /// As `access(2)` sees it: with the real ids, and what these would allow.
    #[must_use]
    pub fn with_real_ids(&self) -> Self {
        let mut real = self.clone();
        (real.fsuid, real.fsgid) = (self.uid, self.gid);
        let caps = &mut real.capabilities;
        if !caps.is_secured(SECBIT_NO_SETUID_FIXUP) {
            caps.effective = if self.uid == 0 { caps.permitted } else { CapabilitySet::NONE };
        }
        real
    }

    /// After `execve(2)` has changed the effective ids from `old`'s: what the file gives, if there `may` be more than before.
    /// Returns whether the program is to distrust its surroundings (`AT_SECURE`).
    ///
    /// # Errors
    /// `EPERM` if the file is made for capabilities that can't be had.
    pub fn adjust_to_program(
        &mut self,
        old: &Credentials,
        file: Option<FileCapabilities>,
        may_gain: bool,
    ) -> Result<bool, Errno> {
        let changes_ids = self.euid != old.uid || self.egid != old.gid;
        let is_set_user_root = self.uid != 0 && self.euid == 0;
        let caps = &mut self.capabilities;
        let (mut permitted, mut is_effective) = (CapabilitySet::NONE, false);
        if let Some(file) = file {
            permitted = file.permitted & caps.bounding | file.inheritable & caps.inheritable;
            is_effective = file.effective;
            if is_effective && !permitted.contains(file.permitted) {
                return Err(Errno::EPERM);
            }
        }
        let asks_file_only = file.is_some() && is_set_user_root;
        if !(caps.is_secured(SECBIT_NOROOT) || asks_file_only) {
            if self.uid == 0 || self.euid == 0 {
                permitted = caps.bounding | caps.inheritable;
            }
            is_effective |= self.euid == 0;
        }
        if !may_gain {
            permitted = permitted & old.capabilities.permitted;
        }
        if file.is_some() || changes_ids {
            caps.ambient = CapabilitySet::NONE;
        }
        caps.permitted = permitted | caps.ambient;
        caps.effective = if is_effective { caps.permitted } else { caps.ambient };
        caps.secure_bits &= !SECBIT_KEEP_CAPS;
        let gains = is_effective || !caps.ambient.contains(caps.permitted);
        Ok(changes_ids || self.uid != 0 && gains)
    }
}
