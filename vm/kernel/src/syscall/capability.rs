//! `capget`, `capset`, and what `prctl` does with capabilities (`capabilities(7)`).

use std::rc::Rc;

use abi::capability::*;
use abi::process::*;
use abi::{Errno, Reader, Writer};

use super::ids::change;
use crate::credentials::CapabilitySet;
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;

/// How many 32-bit words a set has in the version that a header names; one that nobody knows is answered with the one that is
/// preferred.
fn words_of(t: &Rc<Task>, header: u64) -> Outcome<Option<usize>> {
    let mm = t.mm()?;
    match mm.read_u32(header)? {
        _LINUX_CAPABILITY_VERSION_1 => Ok(Some(1)),
        _LINUX_CAPABILITY_VERSION_2 | _LINUX_CAPABILITY_VERSION_3 => Ok(Some(2)),
        _ => mm.write_u32(header, _LINUX_CAPABILITY_VERSION_3).map(|()| None),
    }
}

pub(super) fn capget(k: &mut Kernel, t: &Rc<Task>, header: u64, data: u64) -> Outcome<u64> {
    let mm = t.mm()?;
    let Some(words) = words_of(t, header)? else {
        return if data == 0 { Ok(0) } else { Err(Errno::EINVAL.into()) };
    };
    let pid = mm.read_u32(header + 4)? as i32;
    let target = match pid {
        ..0 => return Err(Errno::EINVAL.into()),
        0 => t.clone(),
        pid => k.task(pid).ok_or(Errno::ESRCH)?,
    };
    let caps = target.credentials().capabilities;
    let sets = [caps.effective, caps.permitted, caps.inheritable];
    let all = (0..words).flat_map(|word| sets.map(|set| (set.0 >> (32 * word)) as u32));
    let bytes = all.fold(Writer::new(), Writer::u32).finish();
    if data != 0 {
        mm.write_user(data, &bytes)?;
    }
    Ok(0)
}

pub(super) fn capset(_k: &mut Kernel, t: &Rc<Task>, header: u64, data: u64) -> Outcome<u64> {
    let words = words_of(t, header)?.ok_or(Errno::EINVAL)?;
    let pid = t.mm()?.read_u32(header + 4)? as i32;
    if pid != 0 && pid != t.tid() {
        return Err(Errno::EPERM.into());
    }
    let bytes = t.struct_arg(data, (words * 3 * 4) as u64)?;
    let mut reader = Reader::new(&bytes);
    let mut sets = [CapabilitySet::NONE; 3];
    for word in 0..words {
        for set in &mut sets {
            set.0 |= u64::from(reader.u32()) << (32 * word);
        }
    }
    let [effective, permitted, inheritable] = sets.map(|set| set & CapabilitySet::ALL);
    change(t, |c| Ok(c.capabilities.replace(permitted, effective, inheritable)?))
}

/// The options of `prctl` that are about capabilities; `None` if this one is not.
///
/// # Errors
/// As `prctl(2)` and `capabilities(7)` have them.
pub(super) fn prctl(t: &Rc<Task>, option: u32, args: [u64; 4]) -> Option<Outcome<u64>> {
    let caps = t.credentials().capabilities;
    Some(match option {
        PR_CAPBSET_READ => set_arg(args[0]).map(|set| u64::from(caps.bounding.contains(set))),
        PR_CAPBSET_DROP => drop_from_bounding(t, args[0]),
        PR_GET_SECUREBITS => Ok(caps.secure_bits.into()),
        PR_SET_SECUREBITS => change(t, |c| Ok(c.capabilities.set_secure_bits(args[0] as u32)?)),
        PR_GET_KEEPCAPS => Ok(caps.is_secured(SECBIT_KEEP_CAPS).into()),
        PR_SET_KEEPCAPS => keep(t, args[0]),
        PR_CAP_AMBIENT => ambient(t, args),
        _ => return None,
    })
}

fn set_arg(capability: u64) -> Outcome<CapabilitySet> {
    let known = u32::try_from(capability).ok().filter(|capability| *capability <= CAP_LAST_CAP);
    Ok(known.map(CapabilitySet::of).ok_or(Errno::EINVAL)?)
}

fn drop_from_bounding(t: &Rc<Task>, capability: u64) -> Outcome<u64> {
    if !t.credentials().has(CAP_SETPCAP) {
        return Err(Errno::EPERM.into());
    }
    let dropped = set_arg(capability)?;
    change(t, |c| {
        c.capabilities.bounding = c.capabilities.bounding.without(dropped);
        Ok(())
    })
}

fn keep(t: &Rc<Task>, on: u64) -> Outcome<u64> {
    change(t, |c| {
        let caps = &mut c.capabilities;
        if on > 1 {
            return Err(Errno::EINVAL.into());
        }
        if caps.is_secured(SECBIT_KEEP_CAPS_LOCKED) {
            return Err(Errno::EPERM.into());
        }
        caps.secure_bits = caps.secure_bits & !SECBIT_KEEP_CAPS | if on == 1 { SECBIT_KEEP_CAPS } else { 0 };
        Ok(())
    })
}

/// `PR_CAP_AMBIENT`.
fn ambient(t: &Rc<Task>, args: [u64; 4]) -> Outcome<u64> {
    let [action, capability, rest @ ..] = args;
    if rest != [0, 0] || action == PR_CAP_AMBIENT_CLEAR_ALL && capability != 0 {
        return Err(Errno::EINVAL.into());
    }
    if action == PR_CAP_AMBIENT_CLEAR_ALL {
        return change(t, |c| {
            c.capabilities.ambient = CapabilitySet::NONE;
            Ok(())
        });
    }
    let set = set_arg(capability)?;
    match action {
        PR_CAP_AMBIENT_IS_SET => Ok(t.credentials().capabilities.ambient.contains(set).into()),
        PR_CAP_AMBIENT_RAISE => change(t, |c| {
            let caps = &mut c.capabilities;
            let may = (caps.permitted & caps.inheritable).contains(set);
            if !may || caps.is_secured(SECBIT_NO_CAP_AMBIENT_RAISE) {
                return Err(Errno::EPERM.into());
            }
            caps.ambient = caps.ambient | set;
            Ok(())
        }),
        PR_CAP_AMBIENT_LOWER => change(t, |c| {
            c.capabilities.ambient = c.capabilities.ambient.without(set);
            Ok(())
        }),
        _ => Err(Errno::EINVAL.into()),
    }
}
