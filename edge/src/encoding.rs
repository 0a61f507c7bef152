//! Which encoding of a chunk a client is sent (RFC 9110, section 12.5.3).

use disk::Encoding;

/// What to send to whom sends this `Accept-Encoding`.
///
/// Brotli is what is stored, so everybody gets it who says to know it. Whoever says nothing could be sent anything by
/// the RFC, but is more likely a simple program than one that knows brotli.
#[must_use]
pub fn negotiate(accept_encoding: Option<&str>) -> Encoding {
    let mut any = false;
    for element in accept_encoding.unwrap_or_default().split(',') {
        let mut parts = element.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let is_accepted = parts.all(|parameter| !is_zero_weight(parameter));
        if coding.eq_ignore_ascii_case("br") {
            return if is_accepted { Encoding::Brotli } else { Encoding::Identity };
        }
        any |= coding == "*" && is_accepted;
    }
    if any { Encoding::Brotli } else { Encoding::Identity }
}

/// `q=0`, `q=0.`, `q=0.000`.
fn is_zero_weight(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let is_zero = |value: &str| value.starts_with('0') && value.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    name.trim().eq_ignore_ascii_case("q") && is_zero(value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_gets_what() {
        for brotli in ["br", "gzip, deflate, br, zstd", "BR", "br;q=0.1", "gzip;q=1.0, br ; q=0.5", "*", "gzip;q=0, *"]
        {
            assert_eq!(negotiate(Some(brotli)), Encoding::Brotli, "{brotli}");
        }
        for identity in ["", "identity", "gzip", "br;q=0", "br; Q=0.000, *", "*;q=0", "brotli", "gzip;br"] {
            assert_eq!(negotiate(Some(identity)), Encoding::Identity, "{identity}");
        }
        assert_eq!(negotiate(None), Encoding::Identity);
    }

    proptest! {
        #[test]
        fn any_text_is_survived(header in ".{0,200}") {
            let _ = negotiate(Some(&header));
        }
    }
}
