//! What Linux answers and neither table does, with the reason. A program gets `ENOSYS`, as from a kernel that was built
//! without.

/// Reasons, and the calls they hold for.
#[rustfmt::skip]
pub const ABSENT: &[(&str, &[&str])] = &[
    (
        "watching whole file systems, which takes privileges: programs fall back to inotify",
        &["fanotify_init", "fanotify_mark"],
    ),
    (
        "rings of requests: programs fall back to threads",
        &["io_uring_setup", "io_uring_enter", "io_uring_register"],
    ),
    (
        "looking deeper into processes than debuggers do",
        &["perf_event_open", "userfaultfd", "process_madvise", "process_mrelease"],
    ),
    (
        "restrictions on programs beyond seccomp, and keys",
        &[
            "bpf", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self", "add_key",
            "request_key", "keyctl", "memfd_secret",
        ],
    ),
    (
        "namespaces, and mounts put together step by step",
        &["open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr"],
    ),
    (
        "administration of a machine that a tab is not",
        &[
            "swapon", "swapoff", "acct", "quotactl", "quotactl_fd", "init_module", "finit_module", "delete_module",
            "create_module", "get_kernel_syms", "query_module", "kexec_load", "kexec_file_load", "iopl", "ioperm",
            "bdflush",
        ],
    ),
    (
        "segments other than those for thread-local storage: a kernel may be built without 16-bit support",
        &["modify_ldt", "vm86", "vm86old"],
    ),
    (
        "C libraries do without: file handles, pages of a file in any order",
        &["open_by_handle_at", "remap_file_pages", "lookup_dcookie"],
    ),
    (
        "no C library since 1996 makes them",
        &["oldstat", "oldlstat", "oldfstat", "readdir", "uselib", "ustat", "sysfs", "_sysctl", "nfsservctl"],
    ),
    (
        "Linux does not answer them on this kind of machine either",
        &[
            "getpmsg", "putpmsg", "afs_syscall", "tuxcall", "security", "vserver", "epoll_ctl_old", "epoll_wait_old",
            "break", "stty", "gtty", "ftime", "prof", "lock", "mpx", "ulimit", "profil", "idle",
        ],
    ),
    (
        "the way of 32-bit programs to their thread-local storage: x86-64 has arch_prctl",
        &["set_thread_area", "get_thread_area"],
    ),
];
