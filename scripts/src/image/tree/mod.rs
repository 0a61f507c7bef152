//! `Tree`: a root file system in memory, its file contents still where they came from, and of which layer each part is.
//!
//! Layers matter to whoever lays the tree out on a disk: what a layer brought must not move because of the layers above
//! it. So the tree remembers in which layer nodes and names came, also those that are gone again.

mod entries;
mod node;

use anyhow::{Result, bail};

pub use self::entries::Entries;
pub use self::node::{Content, Data, DeviceKind, Metadata, Node};

/// Longest path and longest target of a symbolic link, as Linux allows (`PATH_MAX` counts the zero at the end).
const PATH_BYTES_MAX: usize = 4095;
/// Symbolic links followed on the way to a path, as Linux allows (`MAXSYMLINKS`).
const LINKS_FOLLOWED_MAX: usize = 40;

/// Largest numbers of devices, of 12 and 20 bits (`MKDEV` in Linux).
const DEVICE_MAJOR_MAX: u32 = (1 << 12) - 1;
const DEVICE_MINOR_MAX: u32 = (1 << 20) - 1;

/// Most nodes a tree may have, dead ones included: each takes some 250 bytes of memory, and an archive of a few megabytes
/// can name many millions of empty files.
pub const NODES_MAX: usize = 8 << 20;

/// Index of a node in its tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(usize);

impl NodeId {
    /// The root directory.
    pub const ROOT: NodeId = NodeId(0);

    /// Position among the tree's nodes, below [`Tree::node_count`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// A root file system. Hard links are several entries for one node; a node without entries is gone.
#[derive(Clone, Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    /// Nodes by the layer they came in, as far as they were there at its end.
    layers: Vec<Vec<NodeId>>,
    /// Nodes that belong to closed layers.
    closed: usize,
}

impl Tree {
    /// An empty root directory.
    pub fn new() -> Self {
        Tree { nodes: vec![Node::directory(Metadata::of_root(0o755))], layers: Vec::new(), closed: 0 }
    }

    /// Nodes that there are or were.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Ends a layer: what came since the last call is of this one. A layer that brought nothing is none.
    pub fn end_layer(&mut self) {
        let mut layer: Vec<NodeId> = self.walk_nodes().filter(|node| node.0 >= self.closed).collect();
        let is_file = |node: &NodeId| !matches!(self.node(*node).content, Content::Directory(_));
        // A node with several names was met several times.
        let mut is_met = vec![false; self.nodes.len() - self.closed];
        layer.retain(|node| !std::mem::replace(&mut is_met[node.0 - self.closed], true));
        // Directories lie together: looking up a path touches little.
        layer.sort_by_key(is_file);
        let has_new_names = self.nodes[..self.closed].iter().any(|node| match &node.content {
            Content::Directory(entries) => entries.has_of(self.layers.len()),
            _ => false,
        });
        if has_new_names || !layer.is_empty() {
            self.layers.push(layer);
        }
        self.closed = self.nodes.len();
    }

    /// The nodes of each layer, as they were at its end: directories first, then the rest, each in the order of a walk.
    pub fn layers(&self) -> &[Vec<NodeId>] {
        &self.layers
    }

    /// All names from the root down, as nodes: entries of a directory one after the other, then those of its first
    /// subdirectory, and so on.
    fn walk_nodes(&self) -> impl Iterator<Item = NodeId> {
        let mut pending = vec![NodeId::ROOT];
        let below = std::iter::from_fn(move || {
            let directory = pending.pop()?;
            let children: Vec<_> = self.entries(directory).map(|(_, child)| child).collect();
            let is_directory = |node: &&NodeId| matches!(self.node(**node).content, Content::Directory(_));
            pending.extend(children.iter().rev().filter(is_directory));
            Some(children)
        });
        std::iter::once(NodeId::ROOT).chain(below.flatten())
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0]
    }

    /// Entries of a directory; none if it is something else.
    pub fn entries(&self, id: NodeId) -> impl Iterator<Item = (&[u8], NodeId)> {
        self.places(id).filter_map(|(_, name, node)| Some((name, node?)))
    }

    /// All names that a directory has, or had at the end of a layer: the layer each came in, the name, and its node.
    pub fn places(&self, id: NodeId) -> impl Iterator<Item = (usize, &[u8], Option<NodeId>)> {
        let entries = match &self.node(id).content {
            Content::Directory(entries) => Some(entries),
            _ => None,
        };
        entries.into_iter().flat_map(Entries::places)
    }

    /// The entry `name` of directory `parent`.
    pub fn child(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        match &self.node(parent).content {
            Content::Directory(entries) => entries.get(name),
            _ => None,
        }
    }

    /// Finds what `path` names without following a link at its end.
    pub fn find(&self, path: &[u8]) -> Option<NodeId> {
        let (parent, name) = self.resolve_parent(path).ok()??;
        name.map_or(Some(parent), |name| self.child(parent, &name))
    }

    /// Puts `node` at `path`, making missing directories on the way. A directory put over a directory keeps its
    /// entries.
    pub fn put(&mut self, path: &[u8], node: Node) -> Result<NodeId> {
        let (parent, name) = self.make_parent(path)?;
        let Some(name) = name else {
            if !matches!(node.content, Content::Directory(_)) {
                bail!("the root is not a directory");
            }
            self.node_mut(NodeId::ROOT).metadata = node.metadata;
            return Ok(NodeId::ROOT);
        };
        if let Some(existing) = self.child(parent, &name) {
            let is_directory = |node: &Node| matches!(node.content, Content::Directory(_));
            if is_directory(self.node(existing)) && is_directory(&node) {
                self.node_mut(existing).metadata = node.metadata;
                return Ok(existing);
            }
        }
        let id = self.add(node)?;
        self.insert(parent, name, id);
        Ok(id)
    }

    fn add(&mut self, node: Node) -> Result<NodeId> {
        if self.nodes.len() == NODES_MAX {
            bail!("more than {NODES_MAX} files in all layers");
        }
        if let Content::Symlink(to) = &node.content
            && (to.is_empty() || to.len() > PATH_BYTES_MAX)
        {
            bail!("a symbolic link to {} bytes; Linux has 1 to {PATH_BYTES_MAX}", to.len());
        }
        if let Content::Device { major, minor, .. } = node.content
            && (major > DEVICE_MAJOR_MAX || minor > DEVICE_MINOR_MAX)
        {
            bail!("a device {major}:{minor}; Linux has numbers up to {DEVICE_MAJOR_MAX}:{DEVICE_MINOR_MAX}");
        }
        self.nodes.push(node);
        Ok(NodeId(self.nodes.len() - 1))
    }

    /// Gives the node at `existing` the second name `path`.
    pub fn link(&mut self, existing: &[u8], path: &[u8]) -> Result<()> {
        let Some(id) = self.find(existing) else {
            bail!("hard link to {}, which does not exist", String::from_utf8_lossy(existing));
        };
        if matches!(self.node(id).content, Content::Directory(_)) {
            bail!("hard link to the directory {}", String::from_utf8_lossy(existing));
        }
        if let (parent, Some(name)) = self.make_parent(path)? {
            self.insert(parent, name, id);
        }
        Ok(())
    }

    /// Removes what `path` names, with everything below it.
    pub fn remove(&mut self, path: &[u8]) {
        let layer = self.layers.len();
        if let Ok(Some((parent, Some(name)))) = self.resolve_parent(path)
            && let Content::Directory(entries) = &mut self.node_mut(parent).content
        {
            entries.remove(&name, layer);
        }
    }

    /// Removes everything in the directory `path`.
    pub fn clear(&mut self, path: &[u8]) {
        let layer = self.layers.len();
        if let Some(id) = self.find(path)
            && let Content::Directory(entries) = &mut self.node_mut(id).content
        {
            entries.clear(layer);
        }
    }

    fn insert(&mut self, parent: NodeId, name: Vec<u8>, id: NodeId) {
        let layer = self.layers.len();
        if let Content::Directory(entries) = &mut self.node_mut(parent).content {
            entries.insert(name, id, layer);
        }
    }

    fn make_parent(&mut self, path: &[u8]) -> Result<(NodeId, Option<Vec<u8>>)> {
        loop {
            if let Some(found) = self.resolve_parent(path)? {
                return Ok(found);
            }
            self.make_first_missing(path)?;
        }
    }

    /// The directory that has (or would have) the last component of `path`, and that component, which the root has
    /// not; `None` if a directory on the way is missing.
    fn resolve_parent(&self, path: &[u8]) -> Result<Option<(NodeId, Option<Vec<u8>>)>> {
        let mut components = split(path)?;
        let last = components.pop();
        Ok(match self.walk(components)? {
            Walk::Arrived(parent) => Some((parent, last)),
            Walk::Missing { .. } => None,
        })
    }

    fn make_first_missing(&mut self, path: &[u8]) -> Result<()> {
        let mut components = split(path)?;
        components.pop();
        if let Walk::Missing { parent, name } = self.walk(components)? {
            let id = self.add(Node::directory(Metadata::of_root(0o755)))?;
            self.insert(parent, name, id);
        }
        Ok(())
    }

    /// Walks directories, following symbolic links without ever leaving the root.
    fn walk(&self, mut components: Vec<Vec<u8>>) -> Result<Walk> {
        components.reverse();
        let mut stack = vec![NodeId::ROOT];
        let mut links = 0;
        while let Some(name) = components.pop() {
            let here = *stack.last().unwrap_or(&NodeId::ROOT);
            if name == b".." {
                if stack.len() > 1 {
                    stack.pop();
                }
                continue;
            }
            let Some(next) = self.child(here, &name) else {
                return Ok(Walk::Missing { parent: here, name });
            };
            match &self.node(next).content {
                Content::Directory(_) => stack.push(next),
                Content::Symlink(to) => {
                    links += 1;
                    if links > LINKS_FOLLOWED_MAX {
                        bail!("too many symbolic links at {}", String::from_utf8_lossy(&name));
                    }
                    if to.starts_with(b"/") {
                        stack.truncate(1);
                    }
                    components.extend(components_of(to).map(<[u8]>::to_vec).collect::<Vec<_>>().into_iter().rev());
                }
                _ => bail!("{} is not a directory", String::from_utf8_lossy(&name)),
            }
        }
        Ok(Walk::Arrived(*stack.last().unwrap_or(&NodeId::ROOT)))
    }
}

enum Walk {
    Arrived(NodeId),
    Missing { parent: NodeId, name: Vec<u8> },
}

fn components_of(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".")
}

/// The components of an archive's path, which must not climb and must be names ext2 can hold.
fn split(path: &[u8]) -> Result<Vec<Vec<u8>>> {
    if path.len() > PATH_BYTES_MAX {
        bail!("a path has {} bytes, more than {PATH_BYTES_MAX}", path.len());
    }
    let mut components = Vec::new();
    for name in components_of(path) {
        if name == b".." || name.len() > 255 || name.contains(&0) {
            bail!("the path {:?} can't be in an image", String::from_utf8_lossy(path));
        }
        components.push(name.to_vec());
    }
    Ok(components)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Node {
        Node { metadata: Metadata::of_root(0o644), content: Content::File(Data::Bytes(text.into())) }
    }

    #[test]
    fn links_on_the_way_stay_inside_the_root() {
        let mut tree = Tree::new();
        tree.put(b"usr/lib", Node::directory(Metadata::of_root(0o755))).expect("directory");
        let link = |to: &str| Node { metadata: Metadata::of_root(0o777), content: Content::Symlink(to.into()) };
        tree.put(b"lib", link("usr/lib")).expect("link");
        tree.put(b"out", link("../../../usr")).expect("link");
        tree.put(b"loop", link("/loop")).expect("link");
        tree.put(b"./lib/a", file("a")).expect("file");
        tree.put(b"/out/b", file("b")).expect("file");
        assert!(tree.find(b"usr/lib/a").is_some() && tree.find(b"usr/b").is_some());
        assert!(tree.put(b"loop/x", file("")).is_err());
        assert!(tree.put(b"usr/b/x", file("")).is_err());
        assert!(tree.put(b"a/../b", file("")).is_err());
    }

    #[test]
    fn put_link_remove() {
        let mut tree = Tree::new();
        tree.put(b"a/b/c", file("c")).expect("file");
        tree.link(b"a/b/c", b"d").expect("link");
        assert_eq!(tree.find(b"a/b/c"), tree.find(b"d"));
        assert!(tree.link(b"a", b"e").is_err() && tree.link(b"nothing", b"e").is_err());
        tree.put(b"a", Node::directory(Metadata::of_root(0o700))).expect("directory");
        assert!(tree.find(b"a/b/c").is_some(), "a directory over a directory keeps its entries");
        tree.remove(b"a/b");
        tree.clear(b"nothing");
        assert!(tree.find(b"a/b/c").is_none() && tree.find(b"d").is_some());
        tree.clear(b"/");
        assert!(tree.find(b"d").is_none());
    }

    #[test]
    fn layers_know_what_came_in_them() {
        let mut tree = Tree::new();
        tree.put(b"a/b", file("b")).expect("file");
        tree.put(b"gone", file("gone")).expect("file");
        tree.remove(b"gone");
        tree.end_layer();
        tree.end_layer();
        tree.put(b"a/c", file("c")).expect("file");
        tree.link(b"a/b", b"a/d").expect("link");
        tree.remove(b"a/b");
        tree.end_layer();
        tree.put(b"a/b", file("once more")).expect("file");
        tree.end_layer();
        let [a, c, b] = ["a", "a/c", "a/b"].map(|path| tree.find(path.as_bytes()).expect(path));
        let first = tree.find(b"a/d").expect("its other name");
        assert_eq!(tree.layers(), [vec![NodeId::ROOT, a, first], vec![c], vec![b]]);
        let places: Vec<_> = tree.places(a).map(|(layer, name, node)| (layer, name.to_vec(), node)).collect();
        let name = |name: &str| name.as_bytes().to_vec();
        assert_eq!(places, [(0, name("b"), Some(b)), (1, name("c"), Some(c)), (1, name("d"), Some(first))]);
    }
}
