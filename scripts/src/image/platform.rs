//! `Platform`: the processors that images may be for.

use anyhow::{Result, bail};

/// A kind of processor that edgebox is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Platform {
    Amd64,
    I386,
}

impl Platform {
    pub const ALL: [Platform; 2] = [Platform::Amd64, Platform::I386];

    /// That of a base image. Images for i386 have names of their own (`i386/debian`), so those for both are stored side
    /// by side.
    pub fn of_image(name: &str) -> Self {
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        if name.starts_with("i386/") { Platform::I386 } else { Platform::Amd64 }
    }

    /// Those that an image may be for: the one that was asked for, or all, the first one being preferred.
    pub fn acceptable(wanted: Option<Platform>) -> Vec<Platform> {
        wanted.map_or(Platform::ALL.to_vec(), |platform| vec![platform])
    }

    /// What is wanted, and how whoever builds or pulls an image gets it, for messages.
    pub fn way_out(acceptable: &[Platform]) -> String {
        let options: Vec<_> = acceptable.iter().map(|platform| format!("--platform {}", platform.name())).collect();
        format!("build or pull it with {}", options.join(" or "))
    }

    /// As builders call it.
    pub fn name(self) -> &'static str {
        match self {
            Platform::Amd64 => "linux/amd64",
            Platform::I386 => "linux/386",
        }
    }

    /// As an image's configuration calls it.
    pub fn architecture(self) -> &'static str {
        match self {
            Platform::Amd64 => "amd64",
            Platform::I386 => "386",
        }
    }

    /// As Debian calls it.
    pub fn debian_architecture(self) -> &'static str {
        match self {
            Platform::Amd64 => "amd64",
            Platform::I386 => "i386",
        }
    }
}

impl std::str::FromStr for Platform {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some(platform) = Platform::ALL.into_iter().find(|platform| platform.name() == text) else {
            bail!("edgebox is {}", Platform::ALL.map(Platform::name).join(" and "));
        };
        Ok(platform)
    }
}
