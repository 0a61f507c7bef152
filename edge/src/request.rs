//! `Request`: what of a request matters here, however it came in.

use std::time::SystemTime;

/// A request without a body.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method, as it was sent.
    pub method: &'a str,
    /// The URL's path, percent-encoded.
    pub path: &'a str,
    /// Looks a header up by its lower-case name.
    pub headers: &'a dyn Fn(&str) -> Option<String>,
    /// When it came in.
    pub now: SystemTime,
}

impl Request<'_> {
    /// The value of a header, by its lower-case name; several are joined by commas.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        (self.headers)(name)
    }

    /// Whether only the head of the answer is wanted.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

#[cfg(test)]
impl<'a> Request<'a> {
    /// A request with these headers, now.
    pub fn of(method: &'a str, path: &'a str, headers: &'a [(&'a str, &'a str)]) -> Self {
        let find =
            move |name: &str| headers.iter().find(|(given, _)| *given == name).map(|(_, value)| (*value).to_owned());
        // Leaked: there are as many as tests.
        Request { method, path, headers: Box::leak(Box::new(find)), now: SystemTime::now() }
    }
}
