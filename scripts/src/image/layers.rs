//! Layers of an image: tar files applied one over the other, as the OCI image specification says
//! (image-spec, "Image Layer Filesystem Changeset").

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tar::EntryType;

use super::tree::{Content, Data, DeviceKind, Metadata, Node, Tree};

/// Prefix of a file that deletes its namesake in the layers below.
const WHITEOUT: &[u8] = b".wh.";
/// Marks a directory that hides all entries of the layers below.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Prefix of extended attributes among PAX records.
const XATTR_RECORD: &str = "SCHILY.xattr.";

/// An uncompressed layer: `len` bytes of `file` from `offset` on.
pub struct Layer {
    pub file: Arc<File>,
    pub offset: u64,
    pub len: u64,
}

enum Change {
    Put { path: Vec<u8>, node: Node },
    Link { path: Vec<u8>, existing: Vec<u8> },
    Whiteout(Vec<u8>),
    Opaque(Vec<u8>),
}

/// Applies `layer` to `tree`.
pub fn apply(tree: &mut Tree, layer: &Layer) -> Result<()> {
    let mut changes = read_changes(layer)?;
    // A whiteout hides what the layers below have, wherever in this layer it stands.
    changes.sort_by_key(|change| !matches!(change, Change::Whiteout(_) | Change::Opaque(_)));
    for change in changes {
        match change {
            Change::Whiteout(path) => tree.remove(&path),
            Change::Opaque(path) => tree.clear(&path),
            Change::Put { path, node } => {
                tree.put(&path, node).with_context(|| String::from_utf8_lossy(&path).into_owned())?;
            }
            Change::Link { path, existing } => {
                tree.link(&existing, &path).with_context(|| String::from_utf8_lossy(&path).into_owned())?;
            }
        }
    }
    Ok(())
}

fn read_changes(layer: &Layer) -> Result<Vec<Change>> {
    let mut file = layer.file.try_clone()?;
    file.seek(SeekFrom::Start(layer.offset))?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, file).take(layer.len));
    let mut changes = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry.context("a layer is no tar file, or was cut short")?;
        let path = entry.path_bytes().into_owned();
        let metadata = metadata(&mut entry)?;
        let change = change_of(&entry, path, metadata, layer)?;
        changes.extend(change);
    }
    Ok(changes)
}

fn change_of<R: Read>(
    entry: &tar::Entry<'_, R>,
    path: Vec<u8>,
    metadata: Metadata,
    layer: &Layer,
) -> Result<Option<Change>> {
    let trimmed = path.strip_suffix(b"/").unwrap_or(&path);
    let name_start = trimmed.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (parent, name) = trimmed.split_at(name_start);
    if name == OPAQUE {
        return Ok(Some(Change::Opaque(parent.to_vec())));
    }
    if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        // Other names under this prefix are aufs's own and mean nothing.
        let is_aufs = hidden.starts_with(WHITEOUT);
        return Ok((!is_aufs).then(|| Change::Whiteout([parent, hidden].concat())));
    }
    let link_target = || entry.link_name_bytes().map(|to| to.into_owned()).unwrap_or_default();
    let header = entry.header();
    let device = |kind| -> Result<Content> {
        let major = header.device_major()?.unwrap_or(0);
        Ok(Content::Device { kind, major, minor: header.device_minor()?.unwrap_or(0) })
    };
    let content = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous => {
            let end = entry.raw_file_position().checked_add(entry.size());
            if end.is_none_or(|end| end > layer.len) {
                bail!("{}: the layer ends in the middle of it", String::from_utf8_lossy(&path));
            }
            let offset = layer.offset + entry.raw_file_position();
            Content::File(Data::File { file: Arc::clone(&layer.file), offset, len: entry.size() })
        }
        EntryType::Directory => Content::Directory(Default::default()),
        EntryType::Symlink => Content::Symlink(link_target()),
        EntryType::Link => return Ok(Some(Change::Link { path, existing: link_target() })),
        EntryType::Char => device(DeviceKind::Character)?,
        EntryType::Block => device(DeviceKind::Block)?,
        EntryType::Fifo => Content::Fifo,
        EntryType::XGlobalHeader => return Ok(None),
        other => bail!("{}: tar entries of type {other:?} are not supported", String::from_utf8_lossy(&path)),
    };
    Ok(Some(Change::Put { path, node: Node { metadata, content } }))
}

fn metadata<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Metadata> {
    let mut xattrs = std::collections::BTreeMap::new();
    if let Some(records) = entry.pax_extensions()? {
        for record in records {
            let record = record?;
            if let Some(name) = record.key().ok().and_then(|key| key.strip_prefix(XATTR_RECORD)) {
                xattrs.insert(name.as_bytes().to_vec(), record.value_bytes().to_vec());
            }
        }
    }
    let header = entry.header();
    Ok(Metadata {
        mode: (header.mode()? & 0o7777) as u16,
        uid: u32::try_from(header.uid()?).context("a user id over 32 bits")?,
        gid: u32::try_from(header.gid()?).context("a group id over 32 bits")?,
        mtime_s: header.mtime()? as i64,
        xattrs,
    })
}
