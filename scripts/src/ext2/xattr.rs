//! Extended attributes: one block per inode that has any (Linux `fs/ext2/xattr.h`).

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::{BLOCK_BYTES, put_u16, put_u32};

const MAGIC: u32 = 0xEA02_0000;
const HEADER_BYTES: usize = 32;
const ENTRY_BYTES: usize = 16;

/// Name spaces by their index on disk.
const NAME_SPACES: [(&[u8], u8); 3] = [(b"user.", 1), (b"trusted.", 4), (b"security.", 6)];
/// Access control lists have another form on disk than in archives, and no container image needs them.
const ACL_PREFIX: &[u8] = b"system.posix_acl_";

/// The block for `xattrs`; `None` if there are none.
pub fn block(xattrs: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Option<[u8; BLOCK_BYTES]>> {
    let mut entries = Vec::new();
    for (name, value) in xattrs {
        if !name.starts_with(ACL_PREFIX) {
            entries.push(split_name(name).map(|(index, name)| (index, name, value.as_slice()))?);
        }
    }
    if entries.is_empty() {
        return Ok(None);
    }
    // The order Linux keeps them in.
    entries.sort_by_key(|(index, name, _)| (*index, name.len(), *name));
    let padded = |len: usize| len.next_multiple_of(4);
    let needed: usize =
        entries.iter().map(|(_, name, value)| ENTRY_BYTES + padded(name.len()) + padded(value.len())).sum();
    if HEADER_BYTES + needed + 4 > BLOCK_BYTES {
        bail!("{needed} bytes of extended attributes; ext2 holds less than {BLOCK_BYTES} for a file");
    }
    let mut block = [0; BLOCK_BYTES];
    let (mut offset, mut value_offset, mut block_hash) = (HEADER_BYTES, BLOCK_BYTES, 0u32);
    for (index, name, value) in entries {
        value_offset -= padded(value.len());
        block[value_offset..value_offset + value.len()].copy_from_slice(value);
        let hash = entry_hash(name, &block[value_offset..value_offset + padded(value.len())]);
        block_hash = block_hash.rotate_left(16) ^ hash;
        block[offset] = name.len() as u8;
        block[offset + 1] = index;
        put_u16(&mut block, offset + 2, value_offset as u16);
        put_u32(&mut block, offset + 8, value.len() as u32);
        put_u32(&mut block, offset + 12, hash);
        block[offset + ENTRY_BYTES..offset + ENTRY_BYTES + name.len()].copy_from_slice(name);
        offset += ENTRY_BYTES + padded(name.len());
    }
    put_u32(&mut block, 0, MAGIC);
    put_u32(&mut block, 4, 1); // references
    put_u32(&mut block, 8, 1); // blocks
    put_u32(&mut block, 12, block_hash);
    Ok(Some(block))
}

fn split_name(full: &[u8]) -> Result<(u8, &[u8])> {
    let known = NAME_SPACES.iter().find_map(|(prefix, index)| Some((*index, full.strip_prefix(*prefix)?)));
    match known {
        Some((index, name)) if name.len() <= 255 => Ok((index, name)),
        _ => bail!("the extended attribute {:?} can't be in an ext2 file system", String::from_utf8_lossy(full)),
    }
}

/// `ext2_xattr_hash_entry`: rotate and mix the name by bytes, the value by words.
fn entry_hash(name: &[u8], padded_value: &[u8]) -> u32 {
    let of_name = name.iter().fold(0u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
    let words = padded_value.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    words.fold(of_name, |hash, word| hash.rotate_left(16) ^ word)
}
