//! What a container's runtime adds to an image when it starts it, which here the disk has to bring along: mount
//! points and the machine's names.

use anyhow::Result;
use disk::ImageConfig;

use super::tree::{Content, Data, Metadata, Node, NodeId, Tree};

/// The machine's name unless the image says one.
const HOSTNAME: &str = "edgebox";

/// Directories the kernel layer mounts on or programs rely upon, with their modes.
const DIRECTORIES: [(&str, u16); 6] =
    [("dev", 0o755), ("proc", 0o555), ("sys", 0o555), ("tmp", 0o1777), ("run", 0o755), ("root", 0o700)];

/// Adds what is missing, names the machine, and gives every added file the time of the newest one in the image.
pub fn add(tree: &mut Tree, config: &mut ImageConfig) -> Result<()> {
    let mtime_s = newest_mtime(tree);
    let metadata = |mode| Metadata { mtime_s, ..Metadata::of_root(mode) };
    // Layers need not have an entry for the root directory; then it has no time of its own.
    let root = &mut tree.node_mut(NodeId::ROOT).metadata;
    if root.mtime_s == 0 {
        root.mtime_s = mtime_s;
    }
    for (path, mode) in DIRECTORIES {
        if tree.find(path.as_bytes()).is_none() {
            tree.put(path.as_bytes(), Node::directory(metadata(mode)))?;
        }
    }
    if config.hostname.is_empty() {
        config.hostname = HOSTNAME.into();
    }
    let hostname = &config.hostname;
    let files = [
        ("etc/hostname", format!("{hostname}\n")),
        ("etc/hosts", format!("127.0.0.1\tlocalhost\n127.0.1.1\t{hostname}\n::1\tlocalhost ip6-localhost\n")),
        ("etc/resolv.conf", "# This machine has no name server.\n".into()),
    ];
    for (path, text) in files {
        if is_absent_or_empty(tree, path) {
            let content = Content::File(Data::Bytes(text.into()));
            tree.put(path.as_bytes(), Node { metadata: metadata(0o644), content })?;
        }
    }
    Ok(())
}

/// Image builders leave the files they mount over empty.
fn is_absent_or_empty(tree: &Tree, path: &str) -> bool {
    match tree.find(path.as_bytes()).map(|id| &tree.node(id).content) {
        None => true,
        Some(Content::File(data)) => data.len() == 0,
        Some(_) => false,
    }
}

fn newest_mtime(tree: &Tree) -> i64 {
    let mut newest = 0;
    let mut directories = vec![NodeId::ROOT];
    while let Some(directory) = directories.pop() {
        for (_, id) in tree.entries(directory) {
            newest = newest.max(tree.node(id).metadata.mtime_s);
            directories.push(id);
        }
    }
    newest
}
