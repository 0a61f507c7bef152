//! What can be set about the log in `/proc/sys` (`Documentation/admin-guide/sysctl/kernel.rst`).

use abi::Errno;
use abi::capability::CAP_SYS_ADMIN;

use super::rate::Rate;
use crate::kernel::Kernel;
use crate::stop::Outcome;

/// What becomes of what programs write to `/dev/kmsg`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserMessages {
    /// All of it is logged.
    On,
    /// Nothing is, and the file can't be opened.
    Off,
    /// What comes at the usual rate is logged.
    Limited,
}

impl UserMessages {
    const NAMES: [(&'static str, UserMessages); 3] =
        [("on", UserMessages::On), ("off", UserMessages::Off), ("ratelimit", UserMessages::Limited)];
}

/// All that can be set.
pub struct Settings {
    /// Reading the log takes `CAP_SYSLOG`.
    pub is_restricted: bool,
    /// Messages below this level are shown to whoever runs the machine.
    pub console_level: i32,
    /// Level of messages that have none.
    pub default_level: i32,
    /// Least console level that `syslog(2)` sets.
    pub console_level_min: i32,
    /// What the console level was at the start.
    pub console_level_default: i32,
    /// The console level that was there before `syslog(2)` switched the console off.
    pub console_level_before: Option<i32>,
    /// What becomes of what programs write.
    pub user_messages: UserMessages,
    /// How often programs may cause the kernel to say something.
    pub rate: Rate,
    /// Whether programs that an exception ends are logged.
    pub shows_crashes: bool,
}

impl Default for Settings {
    /// Debian's, but for warnings: they are shown.
    fn default() -> Self {
        Self {
            is_restricted: true,
            console_level: 5,
            default_level: 4,
            console_level_min: 1,
            console_level_default: 7,
            console_level_before: None,
            user_messages: UserMessages::Limited,
            rate: Rate::USUAL,
            shows_crashes: true,
        }
    }
}

/// A file of `/proc/sys` that has one of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Setting {
    /// `kernel/dmesg_restrict`
    Restrict,
    /// `kernel/printk`
    Levels,
    /// `kernel/printk_devkmsg`
    UserMessages,
    /// `kernel/printk_ratelimit`
    Interval,
    /// `kernel/printk_ratelimit_burst`
    Burst,
    /// `debug/exception-trace`
    Crashes,
}

impl Setting {
    /// What the file says.
    pub fn show(self, settings: &Settings) -> String {
        let s = settings;
        match self {
            Setting::Restrict => format!("{}\n", u8::from(s.is_restricted)),
            Setting::Levels => format!(
                "{}\t{}\t{}\t{}\n",
                s.console_level, s.default_level, s.console_level_min, s.console_level_default
            ),
            Setting::UserMessages => {
                let name = UserMessages::NAMES.iter().find(|(_, value)| *value == s.user_messages);
                format!("{}\n", name.map_or("", |(name, _)| name))
            }
            Setting::Interval => format!("{}\n", s.rate.interval_s),
            Setting::Burst => format!("{}\n", s.rate.burst),
            Setting::Crashes => format!("{}\n", u8::from(s.shows_crashes)),
        }
    }

    /// Writing to the file.
    ///
    /// # Errors
    /// `EINVAL`: that is no value; `EPERM`: the writer may not.
    pub fn store(self, kernel: &mut Kernel, text: &str) -> Outcome<()> {
        // Who has opened the file may have become somebody else.
        if self == Setting::Restrict && !kernel.current()?.credentials().has(CAP_SYS_ADMIN) {
            return Err(Errno::EPERM.into());
        }
        let s = &mut kernel.log.settings;
        match self {
            Setting::Restrict => s.is_restricted = first_of(text, 0..=1)? == 1,
            Setting::Levels => {
                let levels = [
                    &mut s.console_level,
                    &mut s.default_level,
                    &mut s.console_level_min,
                    &mut s.console_level_default,
                ];
                // Those left out stay.
                let values = numbers(text)?;
                levels.into_iter().zip(values).for_each(|(level, value)| *level = value);
            }
            Setting::UserMessages => {
                let named = UserMessages::NAMES.iter().find(|(name, _)| *name == text);
                s.user_messages = named.ok_or(Errno::EINVAL)?.1;
            }
            Setting::Interval => s.rate.interval_s = first_of(text, 0..=i32::MAX)?,
            Setting::Burst => s.rate.burst = first_of(text, i32::MIN..=i32::MAX)?,
            Setting::Crashes => s.shows_crashes = first_of(text, i32::MIN..=i32::MAX)? != 0,
        }
        Ok(())
    }
}

fn numbers(text: &str) -> Outcome<Vec<i32>> {
    let numbers: Result<Vec<i32>, _> = text.split_whitespace().map(str::parse).collect();
    Ok(numbers.ok().filter(|numbers| !numbers.is_empty()).ok_or(Errno::EINVAL)?)
}

fn first_of(text: &str, allowed: std::ops::RangeInclusive<i32>) -> Outcome<i32> {
    let first = numbers(text)?.first().copied();
    Ok(first.filter(|number| allowed.contains(number)).ok_or(Errno::EINVAL)?)
}
