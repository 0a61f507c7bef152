//! Resource limits (`getrlimit(2)`).

use abi::process::*;

/// A soft limit and the hard one it may be raised to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// What counts.
    pub soft: u64,
    /// What an unprivileged process may raise it to.
    pub hard: u64,
}

/// All limits of a process, by `RLIMIT_*`.
#[derive(Clone, Debug)]
pub struct Limits(pub [Limit; RLIMIT_COUNT]);

/// Most descriptors of a process: what Debian's service manager sets as hard limit divided to fit a browser.
pub const DESCRIPTORS_MAX: u64 = 65_536;

impl Default for Limits {
    /// Those of a Debian login.
    fn default() -> Self {
        let unlimited = Limit { soft: RLIM_INFINITY, hard: RLIM_INFINITY };
        let mut limits = [unlimited; RLIMIT_COUNT];
        limits[RLIMIT_STACK] = Limit { soft: 8 << 20, hard: RLIM_INFINITY };
        limits[RLIMIT_CORE] = Limit { soft: 0, hard: RLIM_INFINITY };
        limits[RLIMIT_NPROC] = Limit { soft: super::table::TASKS_MAX as u64, hard: super::table::TASKS_MAX as u64 };
        limits[RLIMIT_NOFILE] = Limit { soft: 1024, hard: DESCRIPTORS_MAX };
        limits[RLIMIT_MEMLOCK] = Limit { soft: 8 << 20, hard: 8 << 20 };
        limits[RLIMIT_SIGPENDING] = Limit { soft: 4096, hard: 4096 };
        limits[RLIMIT_MSGQUEUE] = Limit { soft: 819_200, hard: 819_200 };
        limits[RLIMIT_NICE] = Limit { soft: 0, hard: 0 };
        limits[RLIMIT_RTPRIO] = Limit { soft: 0, hard: 0 };
        Self(limits)
    }
}

impl Limits {
    /// The soft limit of a resource.
    pub fn soft(&self, resource: usize) -> u64 {
        self.0[resource].soft
    }
}
