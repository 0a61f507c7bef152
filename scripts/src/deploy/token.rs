//! Tokens for private deployments, made with the Worker's own code.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use disk::manifest::is_image_name;
use edge::access::token::{KEY_BYTES_MIN, Key, Scope};

use super::alias::Alias;

/// Longest time a token is made for: whoever has it can't be refused before, but by changing the key for all.
const DAYS_MAX: u64 = 366;

/// The token for `scope`, an image's name or `*`, that the secret signs; and when it expires.
pub fn make(secret: &str, preview: Option<&Alias>, scope: &str, lasts: Duration) -> Result<(String, SystemTime)> {
    let deployment = preview.map(Alias::to_string).unwrap_or_default();
    let key = Key::new(secret, &deployment);
    let key = key.with_context(|| format!("ACCESS_KEY must have {KEY_BYTES_MIN} characters or more"))?;
    let scope = match scope {
        "*" => Scope::All,
        name if is_image_name(name) => Scope::Image(name.into()),
        other => bail!("{other:?} can't name an image"),
    };
    let expires = SystemTime::now() + lasts;
    Ok((key.sign(&scope, expires), expires))
}

/// Reads `30m`, `12h` or `7d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time: write 30m, 12h or 7d, at most {DAYS_MAX}d");
    let unit_at = text.len().checked_sub(1).filter(|at| text.is_char_boundary(*at)).ok_or_else(wrong)?;
    let (count, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let count: u64 = count.parse().map_err(|_| wrong())?;
    let all = count.checked_mul(seconds).filter(|all| (1..=DAYS_MAX * 24 * 60 * 60).contains(all));
    all.map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn times() {
        let seconds = |text| duration(text).map(|time| time.as_secs()).ok();
        assert_eq!(
            [seconds("30m"), seconds("12h"), seconds("7d"), seconds("366d")],
            [1800, 43_200, 604_800, 31_622_400].map(Some)
        );
        for other in ["", "7", "d", "0d", "-1d", "367d", "7w", "7 d", "18446744073709551615d", "7\u{e9}", "\u{e9}"] {
            assert_eq!(seconds(other), None, "{other}");
        }
    }

    #[test]
    fn the_worker_accepts_what_is_made_for_it() {
        let topic = Alias::of_branch("topic");
        for (preview, deployment) in [(None, ""), (Some(&topic), "topic")] {
            let (token, expires) = make(SECRET, preview, "default", Duration::from_secs(60)).expect("a token");
            let key = Key::new(SECRET, deployment).expect("a key");
            let read = key.verify(&token, SystemTime::now()).expect("valid");
            assert_eq!(read.scope, Scope::Image("default".into()));
            assert!(read.expires <= expires);
        }
        assert!(make("short", None, "*", Duration::from_secs(60)).is_err());
        assert!(make(SECRET, None, "../x", Duration::from_secs(60)).is_err());
    }
}
