//! `Access`: who may read disks. Everybody, unless the deployment is private.
//!
//! It is if it has a secret `ACCESS_KEY`, or if the variable `ACCESS` says so, which keeps a deployment that lost its secret
//! from becoming everybody's. Then each request needs a token ([`token`]) that the key has signed, as `Authorization:
//! Bearer`: `./scripts/deploy token` makes some.
//!
//! A token is good for manifests and raw images of its scope, and for every chunk: a chunk's name is the digest of what is in
//! it, which nobody can guess who has no manifest that leads to it. Whether something is there is said only to those who may
//! read it; nothing is ever listed.
//!
//! **Invariants:** this is asked before the storage is. What a private deployment answers is marked for private caches only,
//! and never goes through the platform's (`edge/worker.js`).

pub mod token;

use crate::refusal::Refusal;
use crate::request::Request;
use crate::route::Route;
use token::{KEY_BYTES_MIN, Key, TokenError};

/// Value of the variable `ACCESS` for deployments that are private.
const BY_TOKEN: &str = "token";

/// See the module.
pub enum Access {
    /// Nothing is asked of anybody.
    Everybody,
    /// Whoever has a token.
    ByToken(Key),
    /// Nobody, since the deployment's configuration is incomplete; the text says how.
    Nobody(String),
}

impl Access {
    /// What variable and secret say for the deployment `deployment`: a preview's name, or nothing. Where chunks are static
    /// assets that are sent without asking here (`are_chunks_open`), nothing can be private.
    #[must_use]
    pub fn of_configuration(
        variable: Option<&str>,
        secret: Option<&str>,
        deployment: &str,
        are_chunks_open: bool,
    ) -> Self {
        match (variable.unwrap_or_default(), secret) {
            ("" | BY_TOKEN, Some(_)) if are_chunks_open => Access::Nobody(
                "chunks are sent without asking for a token: set run_worker_first to [\"/disk/*\"], and remove CHUNKS"
                    .into(),
            ),
            ("" | "everybody", None) => Access::Everybody,
            ("" | BY_TOKEN, Some(secret)) => match Key::new(secret, deployment) {
                Some(key) => Access::ByToken(key),
                None => Access::Nobody(format!("ACCESS_KEY must have {KEY_BYTES_MIN} characters or more")),
            },
            (BY_TOKEN, None) => Access::Nobody("ACCESS is \"token\", but there is no secret ACCESS_KEY".into()),
            (other, _) => Access::Nobody(format!("ACCESS is {other:?} with or without a secret ACCESS_KEY")),
        }
    }

    /// Whether answers are for those only who asked.
    #[must_use]
    pub fn is_private(&self) -> bool {
        !matches!(self, Access::Everybody)
    }

    /// Whether a request may go on.
    ///
    /// # Errors
    /// 401 without a valid token, 403 if it is for something else, 503 if nobody may.
    pub fn check(&self, route: &Route<'_>, request: &Request<'_>) -> Result<(), Refusal> {
        let key = match self {
            Access::Everybody => return Ok(()),
            Access::Nobody(why) => return Err(Refusal::Misconfigured(why.clone())),
            Access::ByToken(key) => key,
        };
        let header = request.header("authorization");
        let token = header.as_deref().and_then(bearer).ok_or(Refusal::NoToken)?;
        let token = key.verify(token, request.now).map_err(|error| match error {
            TokenError::Invalid => Refusal::InvalidToken,
            TokenError::Expired => Refusal::ExpiredToken,
        })?;
        match route {
            Route::Chunk(_) => Ok(()),
            Route::Manifest(image) | Route::Image(image) if token.scope.includes(image) => Ok(()),
            Route::Manifest(_) | Route::Image(_) => Err(Refusal::OtherScope),
        }
    }
}

/// The token in `Authorization: Bearer TOKEN` (RFC 6750, section 2.1; RFC 9110: the scheme's case does not matter).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn incomplete_configurations_let_nobody_in() {
        let name = |access| match access {
            Access::Everybody => "everybody",
            Access::ByToken(_) => "token",
            Access::Nobody(_) => "nobody",
        };
        let state = |variable, secret| name(Access::of_configuration(variable, secret, "", false));
        let open = |variable, secret| name(Access::of_configuration(variable, secret, "", true));
        assert_eq!(state(None, None), "everybody");
        assert_eq!(state(Some("everybody"), None), "everybody");
        assert_eq!(state(None, Some(SECRET)), "token");
        assert_eq!(state(Some("token"), Some(SECRET)), "token");
        for (variable, secret) in [
            (Some("token"), None),
            (None, Some("")),
            (Some("token"), Some("short")),
            (Some("everybody"), Some(SECRET)),
            (Some("tokens"), Some(SECRET)),
            (Some("tokens"), None),
        ] {
            assert_eq!(state(variable, secret), "nobody", "{variable:?} {secret:?}");
            assert_eq!(open(variable, secret), "nobody", "{variable:?} {secret:?}");
        }
        assert_eq!(open(None, None), "everybody");
        assert_eq!(open(None, Some(SECRET)), "nobody");
        assert_eq!(open(Some("token"), Some(SECRET)), "nobody");
    }

    #[test]
    fn how_a_token_is_sent() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        for other in ["", "abc", "Bearer", "Basic abc", "Bearer,abc"] {
            assert_eq!(bearer(other), None, "{other}");
        }
    }
}
