//! `Refusal`: why there is no answer, as a status and a sentence.

use worker::{Response, Result};

use crate::headers::{CACHE_NEVER, ISOLATION};

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

    fn text(&self) -> &str {
        match self {
            Refusal::BadRequest(text) | Refusal::NotFound(text) | Refusal::Storage(text) => text,
            Refusal::MethodNotAllowed => "Only GET and HEAD.",
        }
    }

    /// The response to send.
    ///
    /// # Errors
    /// The platform's, on a header it refuses.
    pub fn to_response(&self) -> Result<Response> {
        let mut response = Response::builder().with_status(self.status());
        for (name, value) in ISOLATION.into_iter().chain([CACHE_NEVER, ("content-type", "text/plain; charset=utf-8")]) {
            response = response.with_header(name, value)?;
        }
        if *self == Refusal::MethodNotAllowed {
            response = response.with_header("allow", "GET, HEAD")?;
        }
        Ok(response.fixed(format!("{}\n", self.text()).into_bytes()))
    }
}

impl From<worker::Error> for Refusal {
    fn from(error: worker::Error) -> Self {
        worker::console_error!("{error}");
        Refusal::Storage("The disk's storage does not answer. Try again.".into())
    }
}
