//! `Alias`: a branch's name as it can be in a host name and in a key.

use std::fmt;

use disk::ChunkDigest;

/// Letters, digits and hyphens of an alias. Before the Worker's name and a hyphen it must fit into a label of a host name,
/// which has 63 bytes (RFC 1035).
const ALIAS_BYTES_MAX: usize = 40;
/// Digits of the digest that tells branches apart which look the same otherwise.
const DIGEST_DIGITS: usize = 8;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alias(String);

impl Alias {
    /// The alias of a branch: its name if that can be one; otherwise what can of it, with a digest of the name, so that two
    /// branches never have the same.
    pub fn of_branch(branch: &str) -> Self {
        let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let mut words = branch.to_lowercase();
        words = words.bytes().map(|byte| if is_fine(byte) { char::from(byte) } else { '-' }).collect();
        let mut alias = words.split('-').filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
        let starts_with_letter = alias.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        // One that ends as aliases with digests do could be the alias of another branch.
        if alias == branch && starts_with_letter && alias.len() <= ALIAS_BYTES_MAX && !ends_with_digest(&alias) {
            return Alias(alias);
        }
        if !starts_with_letter {
            alias.insert_str(0, "b-");
        }
        alias.truncate(ALIAS_BYTES_MAX - DIGEST_DIGITS - 1);
        let digest = ChunkDigest::of(branch.as_bytes()).to_string();
        Alias(format!("{}-{}", alias.trim_end_matches('-'), &digest[..DIGEST_DIGITS]))
    }
}

fn ends_with_digest(alias: &str) -> bool {
    let last = alias.rsplit('-').next().unwrap_or_default();
    last.len() == DIGEST_DIGITS && last.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use disk::manifest::is_image_name;
    use proptest::prelude::*;

    use super::*;

    fn alias(branch: &str) -> String {
        Alias::of_branch(branch).to_string()
    }

    #[test]
    fn names_that_can_be_aliases_are() {
        for branch in ["main", "fix-1", "a", "release-2026-11", "abcdefgh"] {
            assert_eq!(alias(branch), branch);
        }
        assert!(alias("feature/New_Thing").starts_with("feature-new-thing-"));
        assert!(alias("12").starts_with("b-12-"));
        assert!(alias("-").starts_with("b-"));
    }

    #[test]
    fn branches_that_look_the_same_are_told_apart() {
        let mut branches = vec!["feature/x".to_owned(), "feature-x".into(), "feature_x".into(), "Feature-X".into()];
        branches.extend([
            "漢".into(),
            "字".into(),
            "x".repeat(60),
            "x".repeat(61),
            "-x".into(),
            "x-".into(),
            "x--x".into(),
        ]);
        branches.extend([alias("feature/x"), alias(&alias("feature/x"))]);
        let aliases: HashSet<_> = branches.iter().map(|branch| alias(branch)).collect();
        assert_eq!(aliases.len(), branches.len(), "{aliases:?}");
    }

    proptest! {
        #[test]
        fn an_alias_is_a_label_and_a_name(branch in any::<String>()) {
            let alias = alias(&branch);
            let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            prop_assert!(alias.len() <= ALIAS_BYTES_MAX && alias.bytes().all(is_fine), "{}", alias);
            prop_assert!(alias.as_bytes()[0].is_ascii_lowercase() && !alias.ends_with('-') && is_image_name(&alias));
        }
    }
}
