//! Layers of an image: tar files applied one over the other, as the OCI image specification says
//! (image-spec, "Image Layer Filesystem Changeset").

use std::io::Read;

use anyhow::{Context, Result, bail};
use tar::EntryType;

use super::section::Section;
use super::tree::{Content, Data, DeviceKind, Metadata, NODES_MAX, Node, Tree};

/// Prefix of a file that deletes its namesake in the layers below.
const WHITEOUT: &[u8] = b".wh.";
/// Marks a directory that hides all entries of the layers below.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Prefix of extended attributes among PAX records.
const XATTR_RECORD: &str = "SCHILY.xattr.";
/// Prefix of PAX records that describe a file with holes, whose content is then not what it seems.
const SPARSE_RECORD: &str = "GNU.sparse.";
/// The PAX record of modification times that a header can't express: decimal seconds, with a fraction.
const MTIME_RECORD: &str = "mtime";

/// PAX records that replace numbers of a header. One that is no number would be passed over, and the header's taken.
const NUMBER_RECORDS: [&str; 3] = ["size", "uid", "gid"];

enum Change {
    Put { path: Vec<u8>, node: Node },
    Link { path: Vec<u8>, existing: Vec<u8> },
    Whiteout(Vec<u8>),
    Opaque(Vec<u8>),
}

/// Applies `layer` to `tree`.
pub fn apply(tree: &mut Tree, layer: &Section) -> Result<()> {
    let mut changes = read_changes(layer)?;
    // A whiteout hides what the layers below have, wherever in this layer it stands.
    changes.sort_by_key(|change| !matches!(change, Change::Whiteout(_) | Change::Opaque(_)));
    for change in changes {
        match change {
            Change::Whiteout(path) => tree.remove(&path),
            Change::Opaque(path) => tree.clear(&path),
            Change::Put { path, node } => {
                tree.put(&path, node).with_context(|| shown(&path))?;
            }
            Change::Link { path, existing } => {
                tree.link(&existing, &path).with_context(|| shown(&path))?;
            }
        }
    }
    Ok(())
}

fn read_changes(layer: &Section) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    layer.for_each_entry(|entry| {
        let path = entry.path_bytes().into_owned();
        let metadata = metadata(entry).with_context(|| shown(&path))?;
        changes.extend(change_of(entry, path, metadata, layer)?);
        // More than a tree may have is found out there; here it must not fill the memory before.
        if changes.len() > NODES_MAX {
            bail!("more than {NODES_MAX} files in a layer");
        }
        Ok(())
    })?;
    Ok(changes)
}

fn change_of<R: Read>(
    entry: &tar::Entry<'_, R>,
    path: Vec<u8>,
    metadata: Metadata,
    layer: &Section,
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
            let Some(content) = layer.part(entry.raw_file_position(), entry.size()) else {
                bail!("{}: the layer ends in the middle of it", shown(&path));
            };
            Content::File(Data::Section(content))
        }
        EntryType::Directory => Content::Directory(Default::default()),
        EntryType::Symlink => Content::Symlink(link_target()),
        EntryType::Link => return Ok(Some(Change::Link { path, existing: link_target() })),
        EntryType::Char => device(DeviceKind::Character)?,
        EntryType::Block => device(DeviceKind::Block)?,
        EntryType::Fifo => Content::Fifo,
        EntryType::XGlobalHeader => return Ok(None),
        other => bail!("{}: tar entries of type {other:?} are not supported", shown(&path)),
    };
    Ok(Some(Change::Put { path, node: Node { metadata, content } }))
}

fn metadata<R: Read>(entry: &mut tar::Entry<'_, R>) -> Result<Metadata> {
    let mut xattrs = std::collections::BTreeMap::new();
    let mut mtime_s = None;
    for record in entry.pax_extensions()?.into_iter().flatten() {
        let record = record?;
        let Ok(key) = record.key() else { continue };
        if let Some(name) = key.strip_prefix(XATTR_RECORD) {
            xattrs.insert(name.as_bytes().to_vec(), record.value_bytes().to_vec());
        } else if key.starts_with(SPARSE_RECORD) {
            bail!("files with holes are not supported in layers");
        } else if key == MTIME_RECORD {
            mtime_s = Some(seconds(record.value()?).context("its modification time")?);
        } else if NUMBER_RECORDS.contains(&key) && record.value().ok().and_then(|it| it.parse::<u64>().ok()).is_none() {
            bail!("its {key} is no number");
        }
    }
    let header = entry.header();
    Ok(Metadata {
        mode: (header.mode()? & 0o7777) as u16,
        uid: u32::try_from(header.uid()?).context("a user id over 32 bits")?,
        gid: u32::try_from(header.gid()?).context("a group id over 32 bits")?,
        mtime_s: match mtime_s {
            Some(seconds) => seconds,
            None => header.mtime()?.cast_signed(),
        },
        xattrs,
    })
}

/// A path for a message: not all of one that is meant to be too long.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(&path[..path.len().min(200)]).into_owned()
}

/// The whole seconds of a PAX time, rounded down.
fn seconds(text: &str) -> Result<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let has_fraction = fraction.bytes().any(|digit| digit != b'0');
    let whole: i64 = whole.parse()?;
    Ok(if text.starts_with('-') && has_fraction { whole.saturating_sub(1) } else { whole })
}
