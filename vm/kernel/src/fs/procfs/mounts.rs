//! `/proc/PID/mounts` and `/proc/PID/mountinfo`: what is mounted below a task's root.

use std::rc::Rc;

use abi::file::{device_major, device_minor};

use crate::kernel::Kernel;
use crate::vfs::{Location, Mount};

/// Flags, and what stands for `rw`, of a mount.
fn options(mount: &Mount, is_read_only: bool) -> String {
    let flags = mount.flags();
    let times = [(flags.no_atime, "noatime"), (flags.no_dir_atime, "nodiratime")];
    let relative = !flags.no_atime && !flags.strict_atime;
    let others = [(flags.no_suid, "nosuid"), (flags.no_dev, "nodev"), (flags.no_exec, "noexec")];
    let all = others.into_iter().chain(times).chain([(relative, "relatime")]);
    let set = all.filter(|(on, _)| *on).map(|(_, name)| name);
    [read_only_option(is_read_only)].into_iter().chain(set).collect::<Vec<_>>().join(",")
}

fn read_only_option(is_read_only: bool) -> &'static str {
    if is_read_only { "ro" } else { "rw" }
}

/// A name with blanks and backslashes as octal numbers.
fn escaped(name: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| match byte {
        b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
        byte => vec![*byte],
    };
    name.iter().flat_map(escape).collect()
}

/// Mounts below `root`, and their places as seen from there.
fn visible(kernel: &Kernel, root: &Location) -> Vec<(Rc<Mount>, Vec<u8>)> {
    let place = |mount: Rc<Mount>| {
        let top = mount.root();
        top.is_below(root).then(|| (mount, escaped(&top.path(root))))
    };
    kernel.vfs.mounts().into_iter().filter_map(place).collect()
}

/// `mounts` (`fstab(5)`).
pub fn table(kernel: &Kernel, root: &Location) -> Vec<u8> {
    let mut text = Vec::new();
    for (mount, place) in visible(kernel, root) {
        text.extend(escaped(mount.source.as_bytes()));
        text.push(b' ');
        text.extend(place);
        let is_read_only = mount.root().is_read_only();
        text.extend(format!(" {} {} 0 0\n", mount.type_name(), options(&mount, is_read_only)).bytes());
    }
    text
}

/// `mountinfo` (`proc_pid_mountinfo(5)`).
pub fn information(kernel: &Kernel, root: &Location) -> Vec<u8> {
    let mut text = Vec::new();
    for (mount, place) in visible(kernel, root) {
        let parent = mount.mount_point().map_or(mount.id, |on| on.mount().id);
        let device = mount.root().device();
        let (major, minor) = (device_major(device), device_minor(device));
        text.extend(format!("{} {parent} {major}:{minor} ", mount.id).bytes());
        text.extend(escaped(&mount.root_path()));
        text.push(b' ');
        text.extend(place);
        let propagation = if mount.is_unbindable() { " unbindable" } else { "" };
        let flags = options(&mount, mount.flags().read_only);
        text.extend(format!(" {flags}{propagation} - {} ", mount.type_name()).bytes());
        text.extend(escaped(mount.source.as_bytes()));
        text.extend(format!(" {}\n", read_only_option(mount.is_file_system_read_only())).bytes());
    }
    text
}
