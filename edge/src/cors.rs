//! Which other origins' scripts may read what is served: the variable `CORS_ORIGINS` (Fetch standard, section 3.2).

use crate::answer::Answer;
use crate::request::Request;

/// Headers a script may see: all, for whoever sends no cookies, of which nothing here knows.
const ALL_HEADERS: &str = "*";

/// Headers a script may set: all, since programs have ideas of their own; v86 sets `X-Accept-Encoding`. Tokens have to be
/// named.
const SENT_HEADERS: &str = "*, authorization";

/// Seconds that a browser may remember a preflight's answer: as long as Chromium does at most.
const PREFLIGHT_S: &str = "7200";

/// Who may read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Policy {
    /// Pages of the same origin only.
    Nobody,
    /// Every page.
    Everybody,
    /// Pages of these origins.
    Origins(Vec<String>),
}

impl Policy {
    /// Reads the variable: nothing, `*`, or origins separated by commas or spaces.
    #[must_use]
    pub fn parse(variable: &str) -> Self {
        let origins = variable.split([',', ' ', '\t', '\n']).filter(|origin| !origin.is_empty());
        let origins: Vec<String> = origins.map(|origin| origin.trim_end_matches('/').to_owned()).collect();
        match origins.as_slice() {
            [] => Policy::Nobody,
            _ if origins.iter().any(|origin| origin == "*") => Policy::Everybody,
            _ => Policy::Origins(origins),
        }
    }

    /// Adds to an answer what makes it readable for the script that asked.
    pub fn permit(&self, request: &Request<'_>, answer: &mut Answer) {
        let allowed = match self {
            Policy::Nobody => return,
            Policy::Everybody => "*".to_owned(),
            Policy::Origins(origins) => {
                answer.add("vary", "origin");
                let origin = request.header("origin");
                let Some(origin) = origin.filter(|origin| origins.contains(origin)) else { return };
                origin
            }
        };
        answer.add("access-control-allow-origin", &allowed);
        answer.add("access-control-expose-headers", ALL_HEADERS);
    }

    /// The answer to OPTIONS, which browsers send before what is more than a simple request. [`Self::permit`] says who
    /// may go on.
    #[must_use]
    pub fn preflight() -> Answer {
        let mut answer = Answer::new(204);
        answer.add("allow", "GET, HEAD, OPTIONS");
        answer.add("access-control-allow-methods", "GET, HEAD");
        answer.add("access-control-allow-headers", SENT_HEADERS);
        answer.add("access-control-max-age", PREFLIGHT_S);
        answer.add("cache-control", "no-store");
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(variable: &str, origin: &str) -> (Option<String>, Option<String>) {
        let mut answer = Answer::new(200);
        Policy::parse(variable).permit(&Request::of("GET", "/", &[("origin", origin)]), &mut answer);
        let get = |name| answer.header(name).map(str::to_owned);
        (get("access-control-allow-origin"), get("vary"))
    }

    #[test]
    fn policies() {
        let here = "https://docs.example";
        let (some, vary) = (|text: &str| Some(text.to_owned()), Some("origin".to_owned()));
        assert_eq!(allowed("", here), (None, None));
        assert_eq!(allowed(" ,", here), (None, None));
        assert_eq!(allowed("*", here), (some("*"), None));
        assert_eq!(allowed("https://a.example, https://docs.example/", here), (some(here), vary.clone()));
        assert_eq!(allowed("https://a.example", here), (None, vary.clone()));
        assert_eq!(allowed("https://docs.example", "https://docs.example.evil"), (None, vary));
    }
}
