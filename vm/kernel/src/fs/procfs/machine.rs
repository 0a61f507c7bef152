//! What procfs says about the machine.

use abi::Errno;
use abi::socket::{AF_INET, AF_INET6, IPPROTO_UDP, IPPROTO_UDPLITE};
use abi::time::USER_HZ;

use super::{Node, sysvipc};
use crate::files::inotify;
use crate::ipc::{msg, shm};
use crate::kernel::{Kernel, SECOND_NS};
use crate::log::boot::COMMAND_LINE;
use crate::log::settings::Setting;
use crate::net::inet::address::UNPRIVILEGED_PORT;
use crate::net::inet::ping::GROUPS;
use crate::net::inet::ports::EPHEMERAL;
use crate::net::options::{BUFFER_BYTES, BUFFER_BYTES_MAX};
use crate::net::unix::transfer::DATAGRAMS_MAX;
use crate::net::{BACKLOG_MAX, report};
use crate::stop::Outcome;
use crate::syscall::control::CONTROL_BYTES_MAX;
use crate::syscall::system::{RELEASE, VERSION};
use crate::task::RunState;
use crate::task::limits::DESCRIPTORS_MAX;
use crate::vfs::FileKind;

/// What a name stands for.
#[derive(Clone, Copy)]
pub enum Item {
    /// A directory.
    Directory,
    /// A text that never changes.
    Text(&'static str),
    /// A text made when it is read.
    Made(fn(&mut Kernel) -> String),
    /// The name of the machine, which can be written.
    HostName,
    /// How many files may be open, which can be written.
    FilesMax,
    /// The kernel log, as `syslog(2)` reads it.
    KernelLog,
    /// What can be set about the kernel log.
    LogSetting(Setting),
    /// A fixed symbolic link.
    Link(&'static str),
    /// The process that asks.
    Own,
    /// The thread that asks.
    OwnThread,
}

/// Everything about the machine, by path. A directory precedes what is in it; the first is the root.
pub const MACHINE: &[(&str, Item)] = &[
    ("", Item::Directory),
    ("self", Item::Own),
    ("thread-self", Item::OwnThread),
    ("cgroups", Item::Text("#subsys_name\thierarchy\tnum_cgroups\tenabled\n")),
    ("cmdline", Item::Made(|_| format!("{COMMAND_LINE}\n"))),
    ("cpuinfo", Item::Made(cpuinfo)),
    ("devices", Item::Text("Character devices:\n  1 mem\n  4 tty\n  5 /dev/tty\n136 pts\n\nBlock devices:\n")),
    ("diskstats", Item::Text("")),
    (
        "filesystems",
        Item::Text("nodev\tsysfs\nnodev\ttmpfs\nnodev\tdevtmpfs\nnodev\tproc\nnodev\tdevpts\nnodev\tmqueue\n\text2\n"),
    ),
    ("interrupts", Item::Text("           CPU0\n")),
    ("kmsg", Item::KernelLog),
    ("loadavg", Item::Made(loadavg)),
    ("locks", Item::Made(|kernel| kernel.locks.report())),
    ("meminfo", Item::Made(meminfo)),
    ("modules", Item::Text("")),
    ("mounts", Item::Link("self/mounts")),
    ("net", Item::Directory),
    ("net/arp", Item::Text(report::ARP)),
    ("net/dev", Item::Made(report::dev)),
    ("net/icmp", Item::Made(|kernel| report::icmp(kernel, AF_INET))),
    ("net/icmp6", Item::Made(|kernel| report::icmp(kernel, AF_INET6))),
    ("net/if_inet6", Item::Text(report::IF_INET6)),
    ("net/ipv6_route", Item::Text(report::IPV6_ROUTE)),
    ("net/netlink", Item::Made(report::netlink)),
    ("net/raw", Item::Made(|kernel| report::raw(kernel, AF_INET))),
    ("net/raw6", Item::Made(|kernel| report::raw(kernel, AF_INET6))),
    ("net/route", Item::Text(report::ROUTE)),
    ("net/snmp", Item::Made(report::snmp)),
    ("net/sockstat", Item::Made(report::sockstat)),
    ("net/sockstat6", Item::Made(report::sockstat6)),
    ("net/tcp", Item::Made(|kernel| report::tcp(kernel, AF_INET))),
    ("net/tcp6", Item::Made(|kernel| report::tcp(kernel, AF_INET6))),
    ("net/udp", Item::Made(|kernel| report::udp(kernel, AF_INET, IPPROTO_UDP))),
    ("net/udp6", Item::Made(|kernel| report::udp(kernel, AF_INET6, IPPROTO_UDP))),
    ("net/udplite", Item::Made(|kernel| report::udp(kernel, AF_INET, IPPROTO_UDPLITE))),
    ("net/udplite6", Item::Made(|kernel| report::udp(kernel, AF_INET6, IPPROTO_UDPLITE))),
    ("net/unix", Item::Made(report::unix)),
    ("partitions", Item::Text("major minor  #blocks  name\n\n")),
    ("stat", Item::Made(stat)),
    ("swaps", Item::Text("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")),
    ("uptime", Item::Made(uptime)),
    ("version", Item::Made(version)),
    ("vmstat", Item::Text("pgpgin 0\npgpgout 0\npswpin 0\npswpout 0\n")),
    ("sysvipc", Item::Directory),
    ("sysvipc/msg", Item::Made(sysvipc::queues)),
    ("sysvipc/sem", Item::Made(sysvipc::semaphores)),
    ("sysvipc/shm", Item::Made(sysvipc::segments)),
    ("sys", Item::Directory),
    ("sys/debug", Item::Directory),
    ("sys/debug/exception-trace", Item::LogSetting(Setting::Crashes)),
    ("sys/fs", Item::Directory),
    ("sys/fs/aio-max-nr", Item::Made(|_| format!("{}\n", crate::syscall::aio::EVENTS_MAX))),
    ("sys/fs/file-max", Item::FilesMax),
    ("sys/fs/file-nr", Item::Made(|kernel| format!("{}\t0\t{}\n", kernel.file_count.open(), kernel.file_count.max()))),
    ("sys/fs/inotify", Item::Directory),
    ("sys/fs/inotify/max_queued_events", Item::Made(|_| format!("{}\n", inotify::EVENTS_MAX))),
    ("sys/fs/inotify/max_user_instances", Item::Made(|_| format!("{}\n", inotify::INSTANCES_MAX))),
    ("sys/fs/inotify/max_user_watches", Item::Made(|_| format!("{}\n", inotify::WATCHES_MAX))),
    ("sys/fs/nr_open", Item::Made(|_| format!("{DESCRIPTORS_MAX}\n"))),
    ("sys/fs/pipe-max-size", Item::Text("1048576\n")),
    ("sys/kernel", Item::Directory),
    ("sys/kernel/cap_last_cap", Item::Text("40\n")),
    ("sys/kernel/core_pattern", Item::Text("core\n")),
    ("sys/kernel/dmesg_restrict", Item::LogSetting(Setting::Restrict)),
    ("sys/kernel/domainname", Item::Text("(none)\n")),
    ("sys/kernel/hostname", Item::HostName),
    ("sys/kernel/msgmax", Item::Made(|_| format!("{}\n", msg::MESSAGE_BYTES_MAX))),
    ("sys/kernel/msgmnb", Item::Made(|_| format!("{}\n", msg::QUEUE_BYTES_MAX))),
    ("sys/kernel/msgmni", Item::Made(|_| format!("{}\n", msg::QUEUES_MAX))),
    ("sys/kernel/ngroups_max", Item::Text("65536\n")),
    ("sys/kernel/osrelease", Item::Made(|_| format!("{RELEASE}\n"))),
    ("sys/kernel/ostype", Item::Text("Linux\n")),
    ("sys/kernel/overflowgid", Item::Text("65534\n")),
    ("sys/kernel/overflowuid", Item::Text("65534\n")),
    ("sys/kernel/pid_max", Item::Text("32768\n")),
    ("sys/kernel/printk", Item::LogSetting(Setting::Levels)),
    ("sys/kernel/printk_devkmsg", Item::LogSetting(Setting::UserMessages)),
    ("sys/kernel/printk_ratelimit", Item::LogSetting(Setting::Interval)),
    ("sys/kernel/printk_ratelimit_burst", Item::LogSetting(Setting::Burst)),
    ("sys/kernel/pty", Item::Directory),
    ("sys/kernel/pty/max", Item::Text("4096\n")),
    ("sys/kernel/pty/nr", Item::Made(|kernel| format!("{}\n", kernel.ptys.indices().len()))),
    ("sys/kernel/random", Item::Directory),
    ("sys/kernel/random/boot_id", Item::Made(boot_id)),
    ("sys/kernel/random/entropy_avail", Item::Text("256\n")),
    ("sys/kernel/random/uuid", Item::Made(uuid)),
    ("sys/kernel/randomize_va_space", Item::Text("0\n")),
    ("sys/kernel/seccomp", Item::Directory),
    ("sys/kernel/seccomp/actions_avail", Item::Text("kill_process kill_thread trap errno trace log allow\n")),
    ("sys/kernel/sem", Item::Made(sysvipc::semaphore_limits)),
    ("sys/kernel/shmall", Item::Made(|_| format!("{}\n", shm::PAGES_MAX))),
    ("sys/kernel/shmmax", Item::Made(|_| format!("{}\n", shm::SEGMENT_BYTES_MAX))),
    ("sys/kernel/shmmni", Item::Made(|_| format!("{}\n", shm::SEGMENTS_MAX))),
    ("sys/kernel/shm_rmid_forced", Item::Text("0\n")),
    ("sys/kernel/threads-max", Item::Text("4096\n")),
    ("sys/kernel/version", Item::Made(|_| format!("{VERSION}\n"))),
    ("sys/kernel/yama", Item::Directory),
    ("sys/net", Item::Directory),
    ("sys/net/core", Item::Directory),
    ("sys/net/core/optmem_max", Item::Made(|_| format!("{CONTROL_BYTES_MAX}\n"))),
    ("sys/net/core/rmem_default", Item::Made(|_| format!("{BUFFER_BYTES}\n"))),
    ("sys/net/core/rmem_max", Item::Made(|_| format!("{BUFFER_BYTES_MAX}\n"))),
    ("sys/net/core/somaxconn", Item::Made(|_| format!("{BACKLOG_MAX}\n"))),
    ("sys/net/core/wmem_default", Item::Made(|_| format!("{BUFFER_BYTES}\n"))),
    ("sys/net/core/wmem_max", Item::Made(|_| format!("{BUFFER_BYTES_MAX}\n"))),
    ("sys/net/ipv4", Item::Directory),
    ("sys/net/ipv4/ip_forward", Item::Text("0\n")),
    ("sys/net/ipv4/ip_local_port_range", Item::Made(|_| format!("{}\t{}\n", EPHEMERAL.start(), EPHEMERAL.end()))),
    ("sys/net/ipv4/ip_unprivileged_port_start", Item::Made(|_| format!("{UNPRIVILEGED_PORT}\n"))),
    ("sys/net/ipv4/ping_group_range", Item::Made(|_| format!("{}\t{}\n", GROUPS.start(), GROUPS.end()))),
    ("sys/net/ipv4/tcp_fastopen", Item::Text("0\n")),
    ("sys/net/ipv4/tcp_fin_timeout", Item::Text("60\n")),
    ("sys/net/ipv4/tcp_keepalive_time", Item::Text("7200\n")),
    ("sys/net/ipv4/tcp_max_syn_backlog", Item::Text("4096\n")),
    ("sys/net/ipv6", Item::Directory),
    ("sys/net/ipv6/bindv6only", Item::Text("0\n")),
    ("sys/net/ipv6/conf", Item::Directory),
    ("sys/net/ipv6/conf/all", Item::Directory),
    ("sys/net/ipv6/conf/all/disable_ipv6", Item::Text("0\n")),
    ("sys/net/ipv6/conf/lo", Item::Directory),
    ("sys/net/ipv6/conf/lo/disable_ipv6", Item::Text("0\n")),
    ("sys/net/unix", Item::Directory),
    ("sys/net/unix/max_dgram_qlen", Item::Made(|_| format!("{DATAGRAMS_MAX}\n"))),
    ("sys/vm", Item::Directory),
    ("sys/vm/max_map_count", Item::Text("65530\n")),
    ("sys/vm/mmap_min_addr", Item::Text("65536\n")),
    ("sys/vm/overcommit_memory", Item::Text("1\n")),
    ("sys/vm/overcommit_ratio", Item::Text("50\n")),
    ("sys/vm/swappiness", Item::Text("60\n")),
];

fn item(index: u32) -> Item {
    MACHINE.get(index as usize).map_or(Item::Text(""), |(_, item)| *item)
}

/// Kind of a file.
pub fn kind(index: u32) -> FileKind {
    match item(index) {
        Item::Directory => FileKind::Directory,
        Item::Link(_) | Item::Own | Item::OwnThread => FileKind::Symlink,
        _ => FileKind::Regular,
    }
}

/// Permissions of a file.
pub fn mode(index: u32) -> u16 {
    match item(index) {
        Item::Directory => 0o555,
        Item::HostName | Item::FilesMax | Item::LogSetting(_) => 0o644,
        Item::KernelLog => 0o400,
        Item::Link(_) | Item::Own | Item::OwnThread => 0o777,
        _ => 0o444,
    }
}

/// Names in a directory.
pub fn children(directory: u32) -> impl Iterator<Item = (Vec<u8>, Node)> {
    let parent = MACHINE.get(directory as usize).map_or("", |(path, _)| *path);
    MACHINE.iter().enumerate().skip(1).filter_map(move |(index, (path, _))| {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        (above == parent).then(|| (name.as_bytes().to_vec(), Node::Machine(index as u32)))
    })
}

/// The text of a file.
pub fn render(kernel: &mut Kernel, index: u32) -> Outcome<Vec<u8>> {
    match item(index) {
        Item::Text(text) => Ok(text.as_bytes().to_vec()),
        Item::Made(make) => Ok(make(kernel).into_bytes()),
        Item::HostName => Ok([&kernel.host_name.borrow()[..], b"\n"].concat()),
        Item::FilesMax => Ok(format!("{}\n", kernel.file_count.max()).into_bytes()),
        Item::LogSetting(setting) => Ok(setting.show(&kernel.log.settings).into_bytes()),
        Item::Directory => Err(Errno::EISDIR.into()),
        // What it says is not a text: it is another kind of open file.
        Item::KernelLog | Item::Link(_) | Item::Own | Item::OwnThread => Err(Errno::EINVAL.into()),
    }
}

/// Writing to a file.
pub fn store(kernel: &mut Kernel, index: u32, text: &str) -> Outcome<()> {
    match item(index) {
        Item::HostName => {
            *kernel.host_name.borrow_mut() = text.as_bytes().iter().copied().take(64).collect();
            Ok(())
        }
        Item::FilesMax => {
            let max = text.trim().parse().map_err(|_| Errno::EINVAL)?;
            kernel.file_count.set_max(max);
            Ok(())
        }
        Item::LogSetting(setting) => setting.store(kernel, text),
        _ => Err(Errno::EACCES.into()),
    }
}

fn cpuinfo(_kernel: &mut Kernel) -> String {
    use cpu::features::{
        ADDRESS_BITS, CACHE_BYTES, FAMILY, FEATURES, LEAF_MAX, LINE_BYTES, MODEL, NAME, STEPPING, VENDOR,
    };
    let flags: Vec<&str> = FEATURES.iter().map(|(_, _, name)| *name).collect();
    format!(
        "processor\t: 0\nvendor_id\t: {VENDOR}\ncpu family\t: {FAMILY}\nmodel\t\t: {MODEL}\nmodel name\t: {NAME}\n\
         stepping\t: {STEPPING}\ncpu MHz\t\t: 1000.000\ncache size\t: {} KB\nphysical id\t: 0\nsiblings\t: 1\n\
         core id\t\t: 0\ncpu cores\t: 1\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {LEAF_MAX}\nwp\t\t: yes\n\
         flags\t\t: {}\nbogomips\t: 2000.00\nclflush size\t: {LINE_BYTES}\ncache_alignment\t: {LINE_BYTES}\n\
         address sizes\t: {} bits physical, {} bits virtual\npower management:\n\n",
        CACHE_BYTES >> 10,
        flags.join(" "),
        ADDRESS_BITS.0,
        ADDRESS_BITS.1
    )
}

fn loadavg(kernel: &mut Kernel) -> String {
    let tasks = kernel.tasks.tasks();
    let running = tasks.iter().filter(|task| task.run_state.get() == RunState::Ready).count();
    let last = tasks.iter().map(|task| task.tid()).max().unwrap_or(0);
    let [one, five, fifteen] = kernel.load.averages();
    format!("{one:.2} {five:.2} {fifteen:.2} {}/{} {last}\n", running.max(1), tasks.len())
}

fn meminfo(kernel: &mut Kernel) -> String {
    let total = kernel.memory_limit_bytes / 1024;
    let (used, shared) = (kernel.used_memory_bytes() / 1024, kernel.tmpfs_bytes() / 1024);
    let free = total.saturating_sub(used + shared);
    let rows = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", shared),
        ("SwapCached", 0),
        ("Active", used),
        ("Inactive", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", used),
        ("Mapped", 0),
        ("Shmem", shared),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("CommitLimit", total),
        ("Committed_AS", used),
        ("VmallocTotal", 0),
        ("VmallocUsed", 0),
        ("Hugepagesize", 2048),
    ];
    rows.iter().map(|(name, kib)| format!("{:<16}{kib:>8} kB\n", format!("{name}:"))).collect()
}

fn ticks(ns: u64) -> u64 {
    ns / (SECOND_NS / USER_HZ)
}

fn stat(kernel: &mut Kernel) -> String {
    let idle = ticks(kernel.idle_ns);
    let busy = ticks(kernel.uptime_ns()).saturating_sub(idle);
    let boot = (kernel.realtime_ns() - kernel.uptime_ns().min(kernel.realtime_ns())) / SECOND_NS;
    let tasks = kernel.tasks.tasks();
    let running = tasks.iter().filter(|task| task.run_state.get() == RunState::Ready).count();
    let cpu = format!("{busy} 0 0 {idle} 0 0 0 0 0 0");
    let (switches, forks) = (kernel.context_switches, kernel.tasks.forks.get());
    format!(
        "cpu  {cpu}\ncpu0 {cpu}\nintr 0\nctxt {switches}\nbtime {boot}\nprocesses {forks}\nprocs_running {}\n\
         procs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n",
        running.max(1)
    )
}

fn uptime(kernel: &mut Kernel) -> String {
    let hundredths = |ns: u64| format!("{}.{:02}", ns / SECOND_NS, ns % SECOND_NS / 10_000_000);
    format!("{} {}\n", hundredths(kernel.uptime_ns()), hundredths(kernel.idle_ns))
}

fn version(_kernel: &mut Kernel) -> String {
    format!("Linux version {RELEASE} (edgebox) {VERSION}\n")
}

fn format_uuid(bytes: [u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-4{}-a{}-{}\n", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

fn uuid(kernel: &mut Kernel) -> String {
    format_uuid(kernel.random_bytes())
}

fn boot_id(kernel: &mut Kernel) -> String {
    format_uuid(kernel.boot_id)
}
