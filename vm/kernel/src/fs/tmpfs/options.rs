//! Mount options (`tmpfs(5)`).

use abi::Errno;

use super::PAGE;

/// Bytes a tmpfs may hold, and has if nothing is said: it is the browser tab's memory.
pub const BYTES_MAX: u64 = 512 << 20;
/// Inodes that it may have: each costs memory.
const INODES_MAX: u64 = BYTES_MAX / PAGE;

/// What options say; what they leave out is `None`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Options {
    /// Pages that files may take.
    pub pages: Option<u64>,
    /// Inodes.
    pub inodes: Option<u64>,
    /// Permission bits of the root directory.
    pub mode: Option<u16>,
    /// Its owner.
    pub uid: Option<u32>,
    /// Its group.
    pub gid: Option<u32>,
}

impl Options {
    /// Reads a list with commas between.
    ///
    /// # Errors
    /// `EINVAL` for an option that there is not, or a value that makes no sense.
    pub fn parse(text: &str) -> Result<Self, Errno> {
        let mut options = Self::default();
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            options.set(name, value).ok_or(Errno::EINVAL)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "size" => self.pages = Some(limit(size(value)?.div_ceil(PAGE), BYTES_MAX / PAGE)),
            "nr_blocks" => self.pages = Some(limit(size(value)?, BYTES_MAX / PAGE)),
            "nr_inodes" => self.inodes = Some(limit(size(value)?, INODES_MAX)),
            "mode" => self.mode = Some(u16::from_str_radix(value, 8).ok().filter(|mode| *mode <= 0o7777)?),
            "uid" => self.uid = Some(value.parse().ok()?),
            "gid" => self.gid = Some(value.parse().ok()?),
            // Where pages are, and how large, is not for us to say.
            "huge" | "mpol" | "noswap" | "inode32" | "inode64" => {}
            _ => return None,
        }
        Some(())
    }
}

/// 0 says that there is none.
fn limit(wanted: u64, max: u64) -> u64 {
    if wanted == 0 { max } else { wanted.min(max) }
}

/// A number, or with k, m, g so many times 1024 of them, or with % so much of memory.
fn size(text: &str) -> Option<u64> {
    let (digits, factor) = match text.as_bytes().last()? {
        b'k' | b'K' => (&text[..text.len() - 1], 1 << 10),
        b'm' | b'M' => (&text[..text.len() - 1], 1 << 20),
        b'g' | b'G' => (&text[..text.len() - 1], 1 << 30),
        b'%' => (&text[..text.len() - 1], crate::oom::MEMORY_LIMIT_BYTES / 100),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}
