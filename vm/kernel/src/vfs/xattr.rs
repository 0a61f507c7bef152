//! Extended attributes (`xattr(7)`): who may use which.

use super::permission::{Access, STICKY};
use super::{FileKind, Location};
use crate::credentials::{Credentials, FileCapabilities};
use crate::stop::Outcome;
use abi::Errno;
use abi::capability::{CAP_SETFCAP, CAP_SYS_ADMIN};
use abi::inotify::IN_ATTRIB;

/// Longest name (`XATTR_NAME_MAX`).
const NAME_LEN_MAX: usize = 255;
/// Largest value (`XATTR_SIZE_MAX`).
const VALUE_LEN_MAX: usize = 64 * 1024;

/// The attribute that says which capabilities a program gives.
pub(super) const CAPABILITIES: &[u8] = b"security.capability";

impl Location {
    /// The value of the attribute that says which capabilities a program gives, if it has one.
    pub fn file_capabilities(&self) -> Outcome<Option<Vec<u8>>> {
        match self.dentry.volume.enter().get_xattr(self.ino(), CAPABILITIES) {
            Ok(value) => Ok(Some(value)),
            Err(stop) if stop.is(Errno::ENODATA) || stop.is(Errno::EOPNOTSUPP) => Ok(None),
            Err(stop) => Err(stop),
        }
    }

    /// Value of an extended attribute, by its full name (`user.x`).
    pub fn get_xattr(&self, who: &Credentials, name: &[u8]) -> Outcome<Vec<u8>> {
        self.check_xattr(who, name, Access::READ)?;
        self.dentry.volume.enter().get_xattr(self.ino(), name)
    }

    /// Names of the extended attributes `who` may see.
    pub fn list_xattrs(&self, who: &Credentials) -> Outcome<Vec<Vec<u8>>> {
        let mut names = self.dentry.volume.enter().list_xattrs(self.ino())?;
        names.retain(|name| who.has(CAP_SYS_ADMIN) || !name.starts_with(b"trusted."));
        Ok(names)
    }

    /// Sets an extended attribute. `exists` demands that it does (`XATTR_REPLACE`) or doesn't (`XATTR_CREATE`).
    pub fn set_xattr(&self, who: &Credentials, name: &[u8], value: &[u8], exists: Option<bool>) -> Outcome<()> {
        if value.len() > VALUE_LEN_MAX {
            return Err(Errno::E2BIG.into());
        }
        self.check_xattr(who, name, Access::WRITE)?;
        if name == CAPABILITIES {
            FileCapabilities::parse(value)?;
        }
        if let Some(expected) = exists {
            let names = self.dentry.volume.enter().list_xattrs(self.ino())?;
            match (expected, names.iter().any(|known| known == name)) {
                (true, false) => return Err(Errno::ENODATA.into()),
                (false, true) => return Err(Errno::EEXIST.into()),
                _ => {}
            }
        }
        self.change(|file_system, ino| file_system.set_xattr(ino, name, Some(value)))?;
        self.notify(IN_ATTRIB);
        Ok(())
    }

    /// Removes an extended attribute.
    pub fn remove_xattr(&self, who: &Credentials, name: &[u8]) -> Outcome<()> {
        self.check_xattr(who, name, Access::WRITE)?;
        self.change(|file_system, ino| file_system.set_xattr(ino, name, None))?;
        self.notify(IN_ATTRIB);
        Ok(())
    }

    fn check_xattr(&self, who: &Credentials, name: &[u8], access: Access) -> Outcome<()> {
        if name.is_empty() || name.len() > NAME_LEN_MAX {
            return Err(Errno::ERANGE.into());
        }
        if access.write && self.is_read_only() {
            return Err(Errno::EROFS.into());
        }
        if [&b"user."[..], b"trusted.", b"security."].contains(&name) {
            return Err(Errno::EINVAL.into());
        }
        let missing = if access.write { Errno::EPERM } else { Errno::ENODATA };
        if name.starts_with(b"user.") {
            if !matches!(self.kind(), FileKind::Regular | FileKind::Directory) {
                return Err(missing.into());
            }
            if access.write && self.is_directory() {
                let dir = self.attributes()?;
                if dir.mode & STICKY != 0 && !who.owns(dir.uid) {
                    return Err(Errno::EPERM.into());
                }
            }
            return self.check_bits(who, access);
        }
        if name.starts_with(b"trusted.") {
            return if who.has(CAP_SYS_ADMIN) { Ok(()) } else { Err(missing.into()) };
        }
        if name.starts_with(b"security.") {
            let needed = if name == CAPABILITIES { CAP_SETFCAP } else { CAP_SYS_ADMIN };
            return if !access.write || who.has(needed) { Ok(()) } else { Err(Errno::EPERM.into()) };
        }
        Err(Errno::EOPNOTSUPP.into())
    }
}
