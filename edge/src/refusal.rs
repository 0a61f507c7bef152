//! `Refusal`: why there is no answer, as a status and a sentence.

use crate::answer::Answer;
use crate::headers::CACHE_NEVER;

/// An answer that is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The request makes no sense, whatever is stored.
    BadRequest(String),
    /// What it names is not there.
    NotFound(String),
    /// Everything here is read-only.
    MethodNotAllowed,
    /// It is another version than the client's conditions demand.
    PreconditionFailed,
    /// The ranges asked for are none of this image.
    RangeNotSatisfiable {
        /// The image's size.
        size_bytes: u64,
    },
    /// A private deployment wants a token.
    NoToken,
    /// What was sent instead of one.
    InvalidToken,
    /// It was one.
    ExpiredToken,
    /// It is one for something else.
    OtherScope,
    /// The deployment's configuration is incomplete: its owner has to complete it.
    Misconfigured(String),
    /// What is stored is not what it should be: somebody has to repair it.
    Damaged(String),
    /// The storage failed; asking again may help.
    Storage(String),
}

impl Refusal {
    /// The HTTP status. Storage is a server behind this one, hence the gateway's statuses.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Refusal::BadRequest(_) => 400,
            Refusal::NoToken | Refusal::InvalidToken | Refusal::ExpiredToken => 401,
            Refusal::OtherScope => 403,
            Refusal::NotFound(_) => 404,
            Refusal::MethodNotAllowed => 405,
            Refusal::PreconditionFailed => 412,
            Refusal::RangeNotSatisfiable { .. } => 416,
            Refusal::Damaged(_) => 502,
            Refusal::Storage(_) | Refusal::Misconfigured(_) => 503,
        }
    }

    /// A sentence for whoever reads the answer.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Refusal::BadRequest(text) | Refusal::NotFound(text) | Refusal::Damaged(text) => text.clone(),
            Refusal::MethodNotAllowed => "Only GET and HEAD.".into(),
            Refusal::PreconditionFailed => "This is another version.".into(),
            Refusal::RangeNotSatisfiable { size_bytes } => {
                format!("There is no such range, or there are too many: the image has {size_bytes} bytes.")
            }
            Refusal::NoToken => "This is private: a token is needed (Authorization: Bearer TOKEN).".into(),
            Refusal::InvalidToken => "This token is not valid here.".into(),
            Refusal::ExpiredToken => "This token has expired.".into(),
            Refusal::OtherScope => "This token is for another image.".into(),
            Refusal::Misconfigured(why) => format!("This deployment is not ready: {why}."),
            Refusal::Storage(why) => format!("The disk's storage does not answer ({why}). Try again."),
        }
    }

    /// The answer that says so.
    #[must_use]
    pub fn answer(&self, is_head: bool) -> Answer {
        let mut answer = Answer::with(self.status(), &[CACHE_NEVER, ("content-type", "text/plain; charset=utf-8")]);
        match self {
            Refusal::MethodNotAllowed => answer.add("allow", "GET, HEAD, OPTIONS"),
            Refusal::RangeNotSatisfiable { size_bytes } => {
                answer.add("content-range", &format!("bytes */{size_bytes}"));
            }
            Refusal::NoToken => answer.add("www-authenticate", "Bearer realm=\"edgebox\""),
            Refusal::InvalidToken | Refusal::ExpiredToken => {
                answer.add("www-authenticate", "Bearer realm=\"edgebox\", error=\"invalid_token\"");
            }
            Refusal::Storage(_) => answer.add("retry-after", "1"),
            _ => {}
        }
        answer.with_bytes(format!("{}\n", self.text()).into_bytes(), is_head)
    }
}
