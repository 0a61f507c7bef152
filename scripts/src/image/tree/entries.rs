//! `Entries`: what a directory contains, and what it did.

use std::collections::BTreeMap;

use super::NodeId;

/// A directory's names. One that is taken away by a later layer than it came in stays, as a place that is free.
#[derive(Clone, Debug, Default)]
pub struct Entries(BTreeMap<Vec<u8>, Entry>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// `None` if it is gone.
    node: Option<NodeId>,
    /// The layer in which the name came first.
    layer: usize,
}

impl Entries {
    pub(super) fn get(&self, name: &[u8]) -> Option<NodeId> {
        self.0.get(name)?.node
    }

    pub(super) fn insert(&mut self, name: Vec<u8>, node: NodeId, layer: usize) {
        self.0.entry(name).or_insert(Entry { node: None, layer }).node = Some(node);
    }

    /// Takes a name away; in the layer that brought it, without a trace.
    pub(super) fn remove(&mut self, name: &[u8], layer: usize) {
        match self.0.get_mut(name) {
            Some(entry) if entry.layer < layer => entry.node = None,
            _ => drop(self.0.remove(name)),
        }
    }

    pub(super) fn clear(&mut self, layer: usize) {
        self.0.retain(|_, entry| entry.layer < layer);
        self.0.values_mut().for_each(|entry| entry.node = None);
    }

    /// All names: the layer each came in, the name, and its node if it has one.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, &[u8], Option<NodeId>)> {
        self.0.iter().map(|(name, entry)| (entry.layer, name.as_slice(), entry.node))
    }

    /// Whether a name came in `layer`.
    pub(super) fn has_of(&self, layer: usize) -> bool {
        self.0.values().any(|entry| entry.layer == layer)
    }
}
