//! The manifest: the one small mutable file of an image, naming everything immutable it consists of.
//!
//! ```json
//! {
//!   "format": "edgebox-disk", "version": 1,
//!   "image": {"size_bytes": 1073741824, "chunk_bytes": 131072, "index_root": "e1be4d7a…"},
//!   "config": {"cmd": ["/bin/bash", "--login"], "env": ["LANG=C.UTF-8"], "workdir": "/home/user", "user": "user"},
//!   "packs": [
//!     {"digest": "58a4…", "index": "0", "blocks": "0-1,34,161-164"},
//!     {"digest": "9c01…", "on": 7015, "blocks": "7015-7040"}
//!   ]
//! }
//! ```
//!
//! `packs` lists those of [`crate::pack`]; it may be absent. `RawManifest` is what the JSON says, [`Manifest`] is what a
//! disk can be opened with. Unknown fields are ignored: whoever adds one that may not be ignored raises [`VERSION`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::ChunkDigest;
use crate::layout::{Layout, LayoutError};
use crate::pack::{self, PACK_RUNS_MAX, Pack};
use crate::runs::{Runs, RunsError};

/// What the `format` field says.
pub const FORMAT: &str = "edgebox-disk";
/// The only version this code reads and writes.
pub const VERSION: u32 = 1;
/// Largest manifest read: a configuration of environment variables and labels has a few kilobytes.
pub const MANIFEST_BYTES_MAX: usize = 256 << 10;
/// Longest image name.
pub const NAME_BYTES_MAX: usize = 128;

/// What the Dockerfile says about running the image. Absent and empty mean the same, as in Docker.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// `ENTRYPOINT`: what runs, before `cmd`.
    pub entrypoint: Vec<String>,
    /// `CMD`: what runs, or the entry point's arguments.
    pub cmd: Vec<String>,
    /// `ENV`, as `KEY=value`.
    pub env: Vec<String>,
    /// `WORKDIR`; empty means `/`.
    pub workdir: String,
    /// `USER`: `name`, `uid`, `name:group` or `uid:gid`; empty means root.
    pub user: String,
    /// The machine's name; empty means that the host chooses.
    pub hostname: String,
    /// `LABEL`.
    pub labels: BTreeMap<String, String>,
}

impl ImageConfig {
    /// The command line a box starts with: entry point and command in one.
    #[must_use]
    pub fn command(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.cmd).cloned().collect()
    }
}

#[derive(Serialize, Deserialize)]
struct RawManifest {
    format: String,
    version: u32,
    image: RawImage,
    #[serde(default)]
    config: ImageConfig,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    packs: Vec<RawPack>,
}

#[derive(Serialize, Deserialize)]
struct RawImage {
    size_bytes: u64,
    chunk_bytes: u32,
    index_root: ChunkDigest,
}

#[derive(Serialize, Deserialize)]
struct RawPack {
    digest: ChunkDigest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<String>,
    blocks: String,
}

impl RawPack {
    fn of(pack: &Pack) -> Self {
        RawPack {
            digest: pack.digest,
            on: pack.on,
            index: pack.index.as_ref().map(Runs::to_string),
            blocks: pack.blocks.to_string(),
        }
    }

    fn validated(&self, layout: Layout) -> Result<Pack, RunsError> {
        let leaves = |text: &String| Runs::parse(text, layout.leaf_count(), PACK_RUNS_MAX);
        let blocks = pack::block_count(layout);
        if let Some(on) = self.on.filter(|on| *on >= blocks) {
            return Err(RunsError::OutOfRange(on.to_string()));
        }
        Ok(Pack {
            digest: self.digest,
            on: self.on,
            index: self.index.as_ref().map(leaves).transpose()?,
            blocks: Runs::parse(&self.blocks, blocks, PACK_RUNS_MAX)?,
        })
    }
}

/// The part that every version has had and will have.
#[derive(Deserialize)]
struct Heading {
    format: String,
    version: u64,
}

/// A validated manifest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// Sizes of image and chunks.
    pub layout: Layout,
    /// The index's root page.
    pub index_root: ChunkDigest,
    /// How to run the image.
    pub config: ImageConfig,
    /// What its boot reads, in order, and what programs read; not every image has them.
    pub packs: Vec<Pack>,
}

/// Why a text is no manifest this code can use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ManifestError {
    /// Over [`MANIFEST_BYTES_MAX`].
    TooLong,
    /// Some other file: an error page, JSON of another program.
    NotAManifest(String),
    /// Made by an older or newer edgebox.
    Version(u64),
    /// The right version, but fields are missing or of the wrong type.
    Malformed(String),
    /// Packs that can't be.
    Packs(String),
    /// Sizes that can't be.
    Layout(LayoutError),
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestError::TooLong => write!(f, "the manifest has more than {MANIFEST_BYTES_MAX} bytes"),
            ManifestError::NotAManifest(why) => write!(f, "this is not an image's manifest: {why}"),
            ManifestError::Version(version) if *version > u64::from(VERSION) => write!(
                f,
                "the image has format version {version}, this edgebox reads version {VERSION}: reload the page or \
                 update edgebox"
            ),
            ManifestError::Version(version) => write!(
                f,
                "the image has format version {version}, this edgebox reads version {VERSION}: build the image again"
            ),
            ManifestError::Malformed(why) => write!(f, "the image's manifest is damaged: {why}"),
            ManifestError::Packs(why) => write!(f, "the image's manifest is damaged: of its packs, {why}"),
            ManifestError::Layout(why) => write!(f, "the image's manifest is damaged: {why}"),
        }
    }
}

impl std::error::Error for ManifestError {}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// See [`ManifestError`]; a foreign version is recognised before anything else is looked at.
    pub fn parse(json: &[u8]) -> Result<Self, ManifestError> {
        if json.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLong);
        }
        let heading: Heading =
            serde_json::from_slice(json).map_err(|error| ManifestError::NotAManifest(error.to_string()))?;
        if heading.format != FORMAT {
            return Err(ManifestError::NotAManifest(format!("its format is {:?}, not {FORMAT:?}", heading.format)));
        }
        if heading.version != u64::from(VERSION) {
            return Err(ManifestError::Version(heading.version));
        }
        let raw: RawManifest =
            serde_json::from_slice(json).map_err(|error| ManifestError::Malformed(error.to_string()))?;
        let layout = Layout::new(raw.image.size_bytes, raw.image.chunk_bytes).map_err(ManifestError::Layout)?;
        let packs: Result<Vec<Pack>, _> = raw.packs.iter().map(|pack| pack.validated(layout)).collect();
        let packs = packs.map_err(|error| ManifestError::Packs(error.to_string()))?;
        pack::check(layout, &packs).map_err(ManifestError::Packs)?;
        Ok(Manifest { layout, index_root: raw.image.index_root, config: raw.config, packs })
    }

    /// The manifest as it is stored: the same manifest is always the same text.
    #[must_use]
    pub fn to_json(&self) -> String {
        let raw = RawManifest {
            format: FORMAT.into(),
            version: VERSION,
            image: RawImage {
                size_bytes: self.layout.size_bytes(),
                chunk_bytes: self.layout.chunk_bytes(),
                index_root: self.index_root,
            },
            config: self.config.clone(),
            packs: self.packs.iter().map(RawPack::of).collect(),
        };
        // Strings, numbers and lists only: serialising them can't fail.
        let mut json = serde_json::to_string_pretty(&raw).unwrap_or_default();
        json.push('\n');
        json
    }
}

/// Whether `name` can name an image in a URL and in a directory: lower-case letters, digits and `-_.` inside.
///
/// No slash, no leading dot: a name is never a path.
#[must_use]
pub fn is_image_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.');
    name.len() <= NAME_BYTES_MAX
        && name.bytes().all(is_inner)
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::CHUNK_BYTES;
    use proptest::prelude::*;

    fn manifest() -> Manifest {
        Manifest {
            layout: Layout::new(1 << 30, CHUNK_BYTES).expect("layout"),
            index_root: ChunkDigest::of(b"root"),
            config: ImageConfig {
                cmd: vec!["/bin/bash".into(), "--login".into()],
                env: vec!["LANG=C.UTF-8".into(), "QUOTE=\"\\é漢🙂\n".into()],
                user: "user".into(),
                labels: [("a".into(), "b".into())].into(),
                ..ImageConfig::default()
            },
            packs: vec![
                Pack { digest: ChunkDigest::of(b"first"), on: None, index: None, blocks: Runs::of([0, 7, 8, 262_143]) },
                Pack {
                    digest: ChunkDigest::of(b"second"),
                    on: Some(41),
                    index: Some(Runs::of([0, 1])),
                    blocks: Runs::of([3]),
                },
                Pack {
                    digest: ChunkDigest::of(b"third"),
                    on: None,
                    index: Some(Runs::default()),
                    blocks: Runs::default(),
                },
            ],
        }
    }

    #[test]
    fn round_trip() {
        assert_eq!(Manifest::parse(manifest().to_json().as_bytes()), Ok(manifest()));
    }

    #[test]
    fn packs_may_be_absent_and_unknown_fields_are_ignored() {
        let old = Manifest { packs: Vec::new(), ..manifest() };
        assert!(!old.to_json().contains("packs"));
        for (known, with_unknown) in [
            ("\"version\"", "\"surprise\": [1], \"version\""),
            ("\"size_bytes\"", "\"surprise\": {}, \"size_bytes\""),
            ("\"workdir\"", "\"surprise\": 1.5, \"workdir\""),
        ] {
            let json = old.to_json().replace(known, with_unknown);
            assert_eq!(Manifest::parse(json.as_bytes()).as_ref(), Ok(&old), "{json}");
        }
    }

    #[test]
    fn another_version_is_named_even_if_everything_else_changed() {
        let error = Manifest::parse(br#"{"format":"edgebox-disk","version":2,"leaves":[]}"#).expect_err("version 2");
        assert_eq!(error, ManifestError::Version(2));
        assert!(error.to_string().contains("version 2, this edgebox reads version 1"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let json = manifest().to_json();
        let cases = [
            ("<!doctype html>".into(), "not an image's manifest"),
            (json.replace(FORMAT, "other"), "its format is \"other\""),
            (json.replace("1073741824", "0"), "between 1 and"),
            (json.replace("131072", "100"), "power of two"),
            (json.replace("131072", "-1"), "damaged"),
            (json.replace("0,7-8", "7-8,0"), "of its packs, \"0\" does not follow"),
            (json.replace("262143", "262144"), "goes too far"),
            (json.replace("\"0-1\"", "\"0-2\""), "goes too far"),
            (json.replace("\"on\": 41", "\"on\": 262144"), "goes too far"),
            (json.replace("\"on\": 41", "\"on\": -1"), "damaged"),
            (json.replace("\"3\"", "\"1000-3000\""), "4194304 are allowed"),
            (json.replace(&ChunkDigest::of(b"third").to_string(), &ChunkDigest::of(b"first").to_string()), "twice"),
            (json.replace(&ChunkDigest::of(b"root").to_string(), "../../etc/passwd"), "hexadecimal"),
            (json.replace("/bin/bash", &"x".repeat(MANIFEST_BYTES_MAX)), "more than"),
        ];
        for (json, expected) in cases {
            let error = Manifest::parse(json.as_bytes()).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn cut_short_is_refused() {
        let json = manifest().to_json();
        for len in 0..json.trim_end().len() {
            assert!(Manifest::parse(&json.as_bytes()[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn image_names() {
        for good in ["default", "alpine", "feature-1.2_x", "0"] {
            assert!(is_image_name(good), "{good}");
        }
        for bad in ["", ".", "..", ".hidden", "a/b", "A", "a b", "a%2f", "é", &"a".repeat(NAME_BYTES_MAX + 1)] {
            assert!(!is_image_name(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Manifest::parse(&bytes).is_err());
        }

        /// A manifest with some bytes changed is refused, or is one whose limits hold.
        #[test]
        fn damage_is_survived(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut json = manifest().to_json().into_bytes();
            for (at, byte) in changes {
                let at = at.index(json.len());
                json[at] = byte;
            }
            if let Ok(read) = Manifest::parse(&json) {
                prop_assert!(Layout::new(read.layout.size_bytes(), read.layout.chunk_bytes()).is_ok());
                prop_assert_eq!(pack::check(read.layout, &read.packs), Ok(()));
            }
        }
    }
}
