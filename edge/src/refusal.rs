//! `Refusal`: why there is no answer, as a status and a sentence.

/// An answer that is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The request makes no sense, whatever is stored.
    BadRequest(String),
    /// What it names is not there.
    NotFound(String),
    /// Everything here is read-only.
    MethodNotAllowed,
    /// The storage failed; asking again may help.
    Storage(String),
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Refusal::BadRequest(_) => 400,
            Refusal::NotFound(_) => 404,
            Refusal::MethodNotAllowed => 405,
            Refusal::Storage(_) => 503,
        }
    }

    /// A sentence for whoever reads the answer.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Refusal::BadRequest(text) | Refusal::NotFound(text) | Refusal::Storage(text) => text,
            Refusal::MethodNotAllowed => "Only GET and HEAD.",
        }
    }
}
