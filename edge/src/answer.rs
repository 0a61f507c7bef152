//! `Answer`: a response before it becomes the platform's.

use crate::image::body::Pieces;
use crate::storage::Content;

/// Status, headers and body.
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Lower-case names and values, in the order they were added. A name may occur more than once.
    pub headers: Vec<(&'static str, String)>,
    /// What follows.
    pub body: Body,
}

/// What follows the headers.
pub enum Body {
    /// Nothing.
    Empty,
    /// These bytes.
    Bytes(Vec<u8>),
    /// What is stored, as it is.
    Stored(Content),
    /// Parts of an image, and what else belongs to the message, produced while it is sent.
    Image {
        /// In order.
        pieces: Pieces,
        /// The length of all of them, in bytes. A body that turns out shorter is broken off.
        length: u64,
    },
}

impl Answer {
    /// A status without headers or body.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Answer { status, headers: Vec::new(), body: Body::Empty }
    }

    /// A status with a group of headers.
    #[must_use]
    pub fn with(status: u16, headers: &[(&'static str, &str)]) -> Self {
        let mut answer = Self::new(status);
        for (name, value) in headers {
            answer.add(name, value);
        }
        answer
    }

    /// Adds a header.
    pub fn add(&mut self, name: &'static str, value: &str) {
        self.headers.push((name, value.into()));
    }

    /// Forbids caches that serve others too to keep it.
    pub fn make_private(&mut self) {
        for (_, value) in self.headers.iter_mut().filter(|(name, _)| *name == "cache-control") {
            *value = value.replacen("public", "private", 1);
        }
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| *given == name).map(|(_, value)| value.as_str())
    }

    /// With this body, unless only the head is wanted. HEAD has no other way to tell the length.
    #[must_use]
    pub fn with_bytes(mut self, bytes: Vec<u8>, is_head: bool) -> Self {
        self.add("content-length", &bytes.len().to_string());
        if !is_head {
            self.body = Body::Bytes(bytes);
        }
        self
    }
}
