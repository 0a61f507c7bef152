//! A branch's preview: its own manifests, and for all else what everybody has. Chunks are shared by all branches, as they
//! are named by what is in them.

use std::rc::Rc;

use disk::manifest::is_image_name;

use super::{Fetched, Key, Meta, Object, Storage};

/// What a preview sees of a storage.
pub struct Preview {
    /// The preview's name.
    name: String,
    storage: Rc<dyn Storage>,
}

impl Preview {
    /// `storage` as the preview `name` sees it; as it is if there is no such name.
    pub fn of(name: &str, storage: Rc<dyn Storage>) -> Rc<dyn Storage> {
        if is_image_name(name) { Rc::new(Preview { name: name.into(), storage }) } else { storage }
    }

    /// Where the preview would have its own of what `key` names.
    fn own<'a>(&'a self, key: Key<'a>) -> Option<Key<'a>> {
        match key {
            Key::Manifest(image) => Some(Key::PreviewManifest { preview: &self.name, image }),
            Key::Chunk(_) | Key::PreviewManifest { .. } => None,
        }
    }
}

impl Storage for Preview {
    fn get<'a>(&'a self, key: Key<'a>) -> Fetched<'a, Object> {
        let Some(own) = self.own(key) else { return self.storage.get(key) };
        Box::pin(async move {
            match self.storage.get(own).await? {
                Some(object) => Ok(Some(object)),
                None => self.storage.get(key).await,
            }
        })
    }

    fn head<'a>(&'a self, key: Key<'a>) -> Fetched<'a, Meta> {
        let Some(own) = self.own(key) else { return self.storage.head(key) };
        Box::pin(async move {
            match self.storage.head(own).await? {
                Some(meta) => Ok(Some(meta)),
                None => self.storage.head(key).await,
            }
        })
    }
}
