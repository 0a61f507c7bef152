//! `Token`: the right to read something for a while, signed.
//!
//! ```text
//! token = scope "." expires "." mac
//! mac   = HMAC-SHA-256(key, "edgebox access 1" LF deployment LF scope LF expires), 64 hexadecimal digits
//! ```
//!
//! `scope` is an image's name, or `*` for all; `expires` are seconds since 1970. The deployment is part of what is signed, so
//! that a token for a preview is none for another one, nor for the Worker itself, even where they have the same key.
//!
//! Sources: RFC 2104 (HMAC), RFC 6750 (bearer tokens).

use std::fmt;
use std::time::{Duration, SystemTime};

use disk::manifest::{NAME_BYTES_MAX, is_image_name};
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Shortest key: as many characters as 128 bits have hexadecimal digits.
pub const KEY_BYTES_MIN: usize = 32;
/// Longest token: a name, 20 digits, the signature, and what is between them.
const TOKEN_BYTES_MAX: usize = NAME_BYTES_MAX + 1 + 20 + 1 + 64;
/// Scope of a token for all images.
const ALL: &str = "*";

/// What signs tokens, and verifies them.
pub struct Key {
    secret: Vec<u8>,
    /// The preview's name; empty for the Worker itself.
    deployment: String,
}

/// What a token is good for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All images.
    All,
    /// The image of this name.
    Image(String),
}

/// A token's content, whose signature was right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token {
    /// What it is good for.
    pub scope: Scope,
    /// From when on it is good for nothing, in whole seconds.
    pub expires: SystemTime,
}

/// Why a text is no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenError {
    /// It was never one, or was changed, or was made for another deployment or with another key: nobody is told which.
    Invalid,
    /// It was one.
    Expired,
}

impl Scope {
    /// Whether it includes an image.
    #[must_use]
    pub fn includes(&self, image: &str) -> bool {
        match self {
            Scope::All => true,
            Scope::Image(name) => name == image,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            ALL => Some(Scope::All),
            name => is_image_name(name).then(|| Scope::Image(name.into())),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::All => ALL,
            Scope::Image(name) => name,
        })
    }
}

impl Key {
    /// A key for a deployment: a preview's name, or nothing for the Worker itself. `None` if the secret is too short
    /// ([`KEY_BYTES_MIN`]). White space around it, such as a file's last newline, does not count.
    #[must_use]
    pub fn new(secret: &str, deployment: &str) -> Option<Self> {
        let secret = secret.trim().as_bytes().to_vec();
        (secret.len() >= KEY_BYTES_MIN).then(|| Key { secret, deployment: deployment.into() })
    }

    /// The token that says so.
    #[must_use]
    pub fn sign(&self, scope: &Scope, expires: SystemTime) -> String {
        let expires = expires.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let signed = format!("{scope}.{expires}");
        let mac = self.mac(&scope.to_string(), &expires.to_string()).finalize().into_bytes();
        format!("{signed}.{}", hex::encode(mac))
    }

    /// What a token says, if it is one and has not expired `now`.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn verify(&self, token: &str, now: SystemTime) -> Result<Token, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        // From the right: names of images have dots.
        let mut parts = token.rsplitn(3, '.');
        let (Some(mac), Some(expires), Some(scope)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(TokenError::Invalid);
        };
        let mut given = [0; 32];
        hex::decode_to_slice(mac, &mut given).map_err(|_| TokenError::Invalid)?;
        // Takes as long wherever the two differ.
        self.mac(scope, expires).verify_slice(&given).map_err(|_| TokenError::Invalid)?;
        let seconds = expires.parse().map_err(|_| TokenError::Invalid)?;
        let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).ok_or(TokenError::Invalid)?;
        let scope = Scope::parse(scope).ok_or(TokenError::Invalid)?;
        if now < expires { Ok(Token { scope, expires }) } else { Err(TokenError::Expired) }
    }

    fn mac(&self, scope: &str, expires: &str) -> Hmac<Sha256> {
        #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("a key of any length");
        // None of the parts has a line's end in it: names have none, and what is verified was split at other places of the
        // same text.
        mac.update(format!("edgebox access 1\n{}\n{scope}\n{expires}", self.deployment).as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn key() -> Key {
        Key::new(SECRET, "").expect("a key")
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_token_says_what_was_signed_until_it_expires() {
        for scope in [Scope::All, Scope::Image("default".into()), Scope::Image("a.b-1.2".into())] {
            let token = key().sign(&scope, at(1000));
            assert_eq!(key().verify(&token, at(999)), Ok(Token { scope, expires: at(1000) }));
            assert_eq!(key().verify(&token, at(1000)), Err(TokenError::Expired));
        }
    }

    #[test]
    fn its_signature_is_what_others_compute() {
        // printf 'edgebox access 1\n\ndefault\n1000' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let expected = "default.1000.a7888c1910cb054cc91e78e21b629709211988ad6c9db2516ff86abd06e9a43a";
        assert_eq!(key().sign(&Scope::Image("default".into()), at(1000)), expected);
    }

    #[test]
    fn other_keys_and_deployments_make_other_tokens() {
        let token = key().sign(&Scope::All, at(1000));
        for (secret, deployment) in [(SECRET, "topic"), ("0123456789abcdef0123456789abcdeg", "")] {
            let other = Key::new(secret, deployment).expect("a key");
            assert_eq!(other.verify(&token, at(0)), Err(TokenError::Invalid));
        }
        assert!(Key::new("short", "").is_none() && Key::new(&" ".repeat(99), "").is_none());
        assert!(Key::new(&format!("{SECRET}\n"), "").is_some_and(|same| same.verify(&token, at(0)).is_ok()));
    }

    #[test]
    fn every_character_counts() {
        let token = key().sign(&Scope::Image("ab".into()), at(1000));
        for at_byte in 0..token.len() {
            for other in ["0", "1", "z", ".", "*", "\n"] {
                let mut changed = token.clone();
                changed.replace_range(at_byte..=at_byte, other);
                let verdict = key().verify(&changed, at(0));
                assert!(changed == token || verdict == Err(TokenError::Invalid), "{changed:?}");
            }
        }
        for cut in 0..token.len() {
            assert_eq!(key().verify(&token[..cut], at(0)), Err(TokenError::Invalid));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in any::<String>()) {
            prop_assert_eq!(key().verify(&text, at(0)), Err(TokenError::Invalid));
        }
    }
}
